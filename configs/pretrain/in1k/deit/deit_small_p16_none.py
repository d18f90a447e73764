"""DeiT-S/16 on ImageNet-1k for 300 epochs without mixing.

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_small_p16_none.py 8
Cost: not run here. By arithmetic 11 EFLOP: 3 x 2 x 4.60 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 75.66 % top-1, openmixup's Mixup_imagenet.md, a re-run, best epoch.
"""

_base_ = [
    "../../../_base_/protocols/in1k-300e.py",
    "../../../_base_/backbones/deit_small_p16.py",
]

bench = dict(backbone="deit_small_p16")
model = dict(backbone=dict(num_classes=1000, **_base_.backbone), policy=dict(preset="none"))
