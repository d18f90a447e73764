"""Pretraining on the built-in digits with Mixup.

Command: bash tools/pretrain.sh configs/pretrain/digits/vit_digits_mixup.py
"""

_base_ = "vit_digits_none.py"

bench = dict(method="mixup", preset="mixup")
model = dict(policy=dict(preset="mixup"))
