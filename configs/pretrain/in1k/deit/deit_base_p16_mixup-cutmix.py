"""DeiT-B/16 on ImageNet-1k for 300 epochs with Mixup and CutMix, half and half: the DeiT baseline.

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_base_p16_mixup-cutmix.py 8
Cost: not run here. By arithmetic 40 EFLOP: 3 x 2 x 17.56 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 81.8 % top-1, README of Euphoria16/TL-Align, as its baseline; recipe not stated there.
"""

_base_ = "deit_base_p16_none.py"

bench = dict(method="mixup-cutmix", preset="mixup-cutmix")
model = dict(policy=dict(preset="mixup-cutmix"))
