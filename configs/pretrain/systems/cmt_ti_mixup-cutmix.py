"""CMT-Ti for 224 px on ImageNet-1k for 300 epochs with Mixup and CutMix, half and half: the DeiT baseline.

Command: bash tools/pretrain.sh configs/pretrain/systems/cmt_ti_mixup-cutmix.py 8
Cost: not run here. By arithmetic 3 EFLOP: 3 x 2 x 1.29 GMAC x 1,281,167 images x 300 epochs (a forward pass, a backward
    pass of twice that).
Published: 79 % top-1 (160 px, 800 epochs), ggjy/CMT.pytorch README; its authors' own recipe.
"""

_base_ = "cmt_ti_none.py"

bench = dict(method="mixup-cutmix", preset="mixup-cutmix")
model = dict(policy=dict(preset="mixup-cutmix"))
