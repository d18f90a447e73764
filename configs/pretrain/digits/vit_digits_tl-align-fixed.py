"""Pretraining on the built-in digits with TL-Align, mended (no empty boxes).

Command: bash tools/pretrain.sh configs/pretrain/digits/vit_digits_tl-align-fixed.py
"""

_base_ = "vit_digits_none.py"

bench = dict(method="tl-align", preset="tl-align-fixed")
model = dict(policy=dict(preset="tl-align-fixed"))
