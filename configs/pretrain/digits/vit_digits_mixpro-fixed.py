"""Pretraining on the built-in digits with MixPro, mended (pixel areas, smoothed labels, a detached factor).

Command: bash tools/pretrain.sh configs/pretrain/digits/vit_digits_mixpro-fixed.py
"""

_base_ = "vit_digits_none.py"

bench = dict(method="mixpro", preset="mixpro-fixed")
model = dict(policy=dict(preset="mixpro-fixed", mask_patch=8))
