"""DeiT-B/14 under MixPro's own recipe for it with Mixup and CutMix, half and half: the control of that recipe.

Command: bash tools/pretrain.sh configs/pretrain/in1k_official/deit_base_p14_official-mixpro-b_mixup-cutmix.py 8
Cost: not run here. By arithmetic 53 EFLOP: 3 x 2 x 23.16 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen: the DeiT baseline of the literature has patch 16.
"""

_base_ = [
    "../../_base_/protocols/in1k-official-mixpro-b.py",
    "../../_base_/backbones/deit_base_p14.py",
]

bench = dict(backbone="deit_base_p14", method="mixup-cutmix", preset="mixup-cutmix")
model = dict(backbone=dict(num_classes=1000, **_base_.backbone), policy=dict(preset="mixup-cutmix"))
