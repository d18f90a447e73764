"""Pretraining on the built-in digits, enlarged to 64 pixels, without mixing: for the tiny variants of the systems.

Their last maps have stride 32, so 32 pixels would leave one cell. What stands here is a ViT; configs/suites/
systems_demo.py puts the systems in its place.

Command: bash tools/pretrain.sh configs/pretrain/digits/system_digits_none.py
"""

_base_ = [
    "../../_base_/models/classifier.py",
    "../../_base_/backbones/vit_small64.py",
    "../../_base_/datasets/digits_cls.py",
    "../../_base_/schedules/systems_cls.py",
    "../../_base_/runtime.py",
]

bench = dict(task="pretrain", method="none", preset="none", backbone="vit_small64", protocol="systems-cls", version=1)
default_scope = "mixpro_bench"
larger = dict(dataset=dict(transform=dict(input_size=64)))
train_dataloader = larger
val_dataloader = larger
test_dataloader = larger
del larger
model = dict(backbone=dict(num_classes=10, **_base_.backbone), policy=dict(preset="none"))
