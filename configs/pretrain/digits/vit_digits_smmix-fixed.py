"""Pretraining on the built-in digits with SMMix, mended (both passes at the precision of the step).

Command: bash tools/pretrain.sh configs/pretrain/digits/vit_digits_smmix-fixed.py
"""

_base_ = "vit_digits_none.py"

bench = dict(method="smmix", preset="smmix-fixed")
model = dict(policy=dict(preset="smmix-fixed"))
