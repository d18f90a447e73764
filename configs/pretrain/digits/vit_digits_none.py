"""Pretraining on the built-in digits without mixing: the baseline of the demo.

Command: bash tools/pretrain.sh configs/pretrain/digits/vit_digits_none.py
"""

_base_ = [
    "../../_base_/models/classifier.py",
    "../../_base_/backbones/vit_digits.py",
    "../../_base_/datasets/digits_cls.py",
    "../../_base_/schedules/short_cls.py",
    "../../_base_/runtime.py",
]

bench = dict(task="pretrain", method="none", preset="none", backbone="vit_digits", protocol="digits-cls", version=1)
default_scope = "mixpro_bench"
model = dict(backbone=dict(num_classes=10, **_base_.backbone), policy=dict(preset="none"))
