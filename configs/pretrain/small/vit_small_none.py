"""Pretraining on photographs of 64 pixels without mixing, for any ImageFolder that a suite names.

Command: mixpro-bench suite configs/suites/real_small.py --work-dir work_dirs/real_small
"""

_base_ = [
    "../../_base_/models/classifier.py",
    "../../_base_/backbones/vit_small64.py",
    "../../_base_/datasets/folder64.py",
    "../../_base_/schedules/short_cls.py",
    "../../_base_/runtime.py",
]

bench = dict(task="pretrain", method="none", preset="none", backbone="vit_small64", protocol="small-cls", version=1)
default_scope = "mixpro_bench"
model = dict(backbone=dict(num_classes=10, **_base_.backbone), policy=dict(preset="none"))
