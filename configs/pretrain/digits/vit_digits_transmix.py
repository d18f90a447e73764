"""Pretraining on the built-in digits with TransMix as its DeiT-S config runs it.

Command: bash tools/pretrain.sh configs/pretrain/digits/vit_digits_transmix.py
"""

_base_ = "vit_digits_none.py"

bench = dict(method="transmix", preset="transmix")
model = dict(policy=dict(preset="transmix"))
