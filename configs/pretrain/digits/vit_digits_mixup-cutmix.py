"""Pretraining on the built-in digits with Mixup or CutMix, half and half (DeiT's recipe).

Command: bash tools/pretrain.sh configs/pretrain/digits/vit_digits_mixup-cutmix.py
"""

_base_ = "vit_digits_none.py"

bench = dict(method="mixup-cutmix", preset="mixup-cutmix")
model = dict(policy=dict(preset="mixup-cutmix"))
