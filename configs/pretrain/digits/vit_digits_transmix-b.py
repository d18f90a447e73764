"""Pretraining on the built-in digits with TransMix as its DeiT-B config runs it.

Command: bash tools/pretrain.sh configs/pretrain/digits/vit_digits_transmix-b.py
"""

_base_ = "vit_digits_none.py"

bench = dict(method="transmix", preset="transmix-b")
model = dict(policy=dict(preset="transmix-b"))
