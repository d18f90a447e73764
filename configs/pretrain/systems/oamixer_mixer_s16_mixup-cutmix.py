"""OAMixer on Mixer-S/16 on ImageNet-1k for 300 epochs with Mixup and CutMix, half and half: the DeiT baseline.

Command: bash tools/pretrain.sh configs/pretrain/systems/oamixer_mixer_s16_mixup-cutmix.py 8
Cost: not run here. By arithmetic 8.7 EFLOP: 3 x 2 x 3.78 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = "oamixer_mixer_s16_none.py"

bench = dict(method="mixup-cutmix", preset="mixup-cutmix")
model = dict(policy=dict(preset="mixup-cutmix"))
