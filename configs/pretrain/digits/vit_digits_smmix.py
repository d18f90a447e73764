"""Pretraining on the built-in digits with SMMix as released.

Command: bash tools/pretrain.sh configs/pretrain/digits/vit_digits_smmix.py
"""

_base_ = "vit_digits_none.py"

bench = dict(method="smmix", preset="smmix")
model = dict(policy=dict(preset="smmix"))
