"""Pretraining on the built-in digits, enlarged to 64 pixels, with MixPro: for the tiny variants of the systems.

Command: bash tools/pretrain.sh configs/pretrain/digits/system_digits_mixpro.py
"""

_base_ = "system_digits_none.py"

bench = dict(method="mixpro", preset="mixpro")
model = dict(policy=dict(preset="mixpro", mask_patch=16))
