"""Pretraining on the built-in digits with TransMix, mended (exact token areas).

Command: bash tools/pretrain.sh configs/pretrain/digits/vit_digits_transmix-fixed.py
"""

_base_ = "vit_digits_none.py"

bench = dict(method="transmix", preset="transmix-fixed")
model = dict(policy=dict(preset="transmix-fixed"))
