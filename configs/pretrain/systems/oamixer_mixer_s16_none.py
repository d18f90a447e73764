"""OAMixer on Mixer-S/16 on ImageNet-1k for 300 epochs without mixing.

Command: bash tools/pretrain.sh configs/pretrain/systems/oamixer_mixer_s16_none.py 8
Cost: not run here. By arithmetic 8.7 EFLOP: 3 x 2 x 3.78 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = [
    "../../_base_/protocols/in1k-300e.py",
    "../../_base_/backbones/oamixer_mixer_s16.py",
]

bench = dict(backbone="oamixer_mixer_s16")
model = dict(backbone=dict(num_classes=1000, **_base_.backbone), policy=dict(preset="none"))
