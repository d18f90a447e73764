"""Pretraining on the built-in digits with CutMix.

Command: bash tools/pretrain.sh configs/pretrain/digits/vit_digits_cutmix.py
"""

_base_ = "vit_digits_none.py"

bench = dict(method="cutmix", preset="cutmix")
model = dict(policy=dict(preset="cutmix"))
