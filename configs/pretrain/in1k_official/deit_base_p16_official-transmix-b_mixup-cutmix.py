"""DeiT-B/16 under TransMix's own recipe for it with Mixup and CutMix, half and half: the control of that recipe.

Command: bash tools/pretrain.sh configs/pretrain/in1k_official/deit_base_p16_official-transmix-b_mixup-cutmix.py 8
Cost: not run here. By arithmetic 42 EFLOP: 3 x 2 x 17.56 GMAC x 1,281,167 images x 310 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen under this recipe.
"""

_base_ = [
    "../../_base_/protocols/in1k-official-transmix-b.py",
    "../../_base_/backbones/deit_base_p16.py",
]

bench = dict(backbone="deit_base_p16", method="mixup-cutmix", preset="mixup-cutmix")
model = dict(backbone=dict(num_classes=1000, **_base_.backbone), policy=dict(preset="mixup-cutmix"))
