"""Mask R-CNN on digit scenes for the tiny variants of the systems, which configs/suites/systems_demo.py puts in here.

Command: bash tools/transfer_det.sh configs/transfer/det/mask-rcnn_system_digits.py CHECKPOINT
"""

_base_ = [
    "../../_base_/models/mask-rcnn_light.py",
    "../../_base_/backbones/vit_small64.py",
    "../../_base_/datasets/digits_det.py",
    "../../_base_/schedules/systems_transfer.py",
    "../../_base_/runtime.py",
]

bench = dict(task="det", method="mixpro", preset="mixpro", backbone="vit_small64", protocol="systems-det", version=1)
default_scope = "mmdet"
model = dict(
    backbone=dict(
        _delete_=True,
        **{**_base_.backbone, "dense": True, "init_cfg": dict(type="mixpro_bench.Handover", checkpoint=None)},
    ),
    neck=dict(
        _delete_=True,
        type="mixpro_bench.NeckSequence",
        necks=[
            dict(type="mixpro_bench.Pyramid", out_channels=_base_.channels, **_base_.pyramid),
            dict(
                type="mmdet.FPN",
                in_channels=[_base_.channels] * 4,
                out_channels=_base_.channels,
                num_outs=4,
            ),
        ],
    ),
)
