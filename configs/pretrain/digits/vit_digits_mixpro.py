"""Pretraining on the built-in digits with MixPro (MaskMix and PAL, Mixup and CutMix on the other half of the steps).

Command: bash tools/pretrain.sh configs/pretrain/digits/vit_digits_mixpro.py
"""

_base_ = "vit_digits_none.py"

bench = dict(method="mixpro", preset="mixpro")
model = dict(policy=dict(preset="mixpro", mask_patch=8))
