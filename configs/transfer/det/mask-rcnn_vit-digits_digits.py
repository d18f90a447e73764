"""Mask R-CNN on digit scenes: the detection half of the demo.

Command: bash tools/transfer_det.sh configs/transfer/det/mask-rcnn_vit-digits_digits.py CHECKPOINT
Cost: 1.6 M parameters, 0.3 to 0.4 s of one CPU core for a step of 8 images.
Expected: box AP 28 to 32 was seen, with and without pretraining (one seed each).
"""

_base_ = [
    "../../_base_/models/mask-rcnn_light.py",
    "../../_base_/backbones/vit_digits.py",
    "../../_base_/datasets/digits_det.py",
    "../../_base_/schedules/short_det.py",
    "../../_base_/runtime.py",
]

bench = dict(task="det", method="mixpro", preset="mixpro", backbone="vit_digits", protocol="digits-det", version=1)
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
