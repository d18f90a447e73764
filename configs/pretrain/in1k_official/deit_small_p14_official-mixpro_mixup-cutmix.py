"""DeiT-S/14 under MixPro's own recipe with Mixup and CutMix, half and half: the control of that recipe.

Command: bash tools/pretrain.sh configs/pretrain/in1k_official/deit_small_p14_official-mixpro_mixup-cutmix.py 8
Cost: not run here. By arithmetic 14 EFLOP: 3 x 2 x 6.12 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen: the DeiT baseline of the literature has patch 16.
"""

_base_ = [
    "../../_base_/protocols/in1k-official-mixpro.py",
    "../../_base_/backbones/deit_small_p14.py",
]

bench = dict(backbone="deit_small_p14", method="mixup-cutmix", preset="mixup-cutmix")
model = dict(backbone=dict(num_classes=1000, **_base_.backbone), policy=dict(preset="mixup-cutmix"))
