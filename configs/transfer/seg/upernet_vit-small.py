"""UperNet on photographs cropped to 160 pixels, for any small set in ADE20K's layout that a suite names.

Command: mixpro-bench suite configs/suites/real_small.py --work-dir work_dirs/real_small
"""

_base_ = [
    "../../_base_/models/upernet_light.py",
    "../../_base_/backbones/vit_small64.py",
    "../../_base_/datasets/ade_small.py",
    "../../_base_/schedules/short_transfer.py",
    "../../_base_/runtime.py",
]

bench = dict(task="seg", method="mixpro", preset="mixpro", backbone="vit_small64", protocol="small-seg", version=1)
default_scope = "mmseg"
model = dict(
    backbone=dict(
        _delete_=True,
        **{**_base_.backbone, "dense": True, "init_cfg": dict(type="mixpro_bench.Handover", checkpoint=None)},
    ),
    neck=dict(_delete_=True, type="mixpro_bench.Pyramid", out_channels=_base_.channels, **_base_.pyramid),
)
