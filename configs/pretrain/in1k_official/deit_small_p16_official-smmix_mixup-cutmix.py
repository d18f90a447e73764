"""DeiT-S/16 under SMMix's own recipe with Mixup and CutMix, half and half: the control of that recipe.

Command: bash tools/pretrain.sh configs/pretrain/in1k_official/deit_small_p16_official-smmix_mixup-cutmix.py 4
Cost: not run here. By arithmetic 11 EFLOP: 3 x 2 x 4.60 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen under this recipe.
"""

_base_ = [
    "../../_base_/protocols/in1k-official-smmix.py",
    "../../_base_/backbones/deit_small_p16.py",
]

bench = dict(backbone="deit_small_p16", method="mixup-cutmix", preset="mixup-cutmix")
model = dict(backbone=dict(num_classes=1000, **_base_.backbone), policy=dict(preset="mixup-cutmix"))
