"""Pretraining on the built-in digits with MixPro as its released settings run it (MaskMix with area labels).

Command: bash tools/pretrain.sh configs/pretrain/digits/vit_digits_mixpro-head.py
"""

_base_ = "vit_digits_none.py"

bench = dict(method="mixpro", preset="mixpro-head")
model = dict(policy=dict(preset="mixpro-head", mask_patch=8))
