"""OAMixer on ConvMixer-768/32 on ImageNet-1k for 300 epochs without mixing.

Command: bash tools/pretrain.sh configs/pretrain/systems/oamixer_convmixer_768_32_none.py 8
Cost: not run here. By arithmetic 48 EFLOP: 3 x 2 x 20.68 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = [
    "../../_base_/protocols/in1k-300e.py",
    "../../_base_/backbones/oamixer_convmixer_768_32.py",
]

bench = dict(backbone="oamixer_convmixer_768_32")
model = dict(backbone=dict(num_classes=1000, **_base_.backbone), policy=dict(preset="none"))
