"""Pretraining on the built-in digits with TL-Align as released.

Command: bash tools/pretrain.sh configs/pretrain/digits/vit_digits_tl-align.py
"""

_base_ = "vit_digits_none.py"

bench = dict(method="tl-align", preset="tl-align")
model = dict(policy=dict(preset="tl-align"))
