"""Mask R-CNN on digit scenes: the detection half of the demo.

Command: bash tools/transfer_det.sh configs/transfer/det/mask-rcnn_vit-digits_digits.py CHECKPOINT
"""

_base_ = [
    "../../_base_/models/mask-rcnn.py",
    "../../_base_/backbones/vit_digits.py",
    "../../_base_/datasets/digits_det.py",
    "../../_base_/schedules/digits_transfer.py",
    "../../_base_/runtime.py",
]

bench = dict(task="det", method="mixpro", preset="mixpro", backbone="vit_digits", protocol="digits-det", version=1)
default_scope = "mmdet"
channels = 64
num_classes = 10

model = dict(
    backbone=dict(
        _delete_=True,
        **{**_base_.backbone, "dense": True, "init_cfg": dict(type="mixpro_bench.Handover", checkpoint=None)},
    ),
    neck=dict(
        _delete_=True,
        type="mixpro_bench.NeckSequence",
        necks=[
            dict(type="mixpro_bench.Pyramid", out_channels=channels, **_base_.pyramid),
            dict(type="mmdet.FPN", in_channels=[channels] * 4, out_channels=channels, num_outs=4),
        ],
    ),
    rpn_head=dict(
        in_channels=channels,
        feat_channels=channels,
        anchor_generator=dict(scales=[4], strides=[4, 8, 16, 32]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=channels, finest_scale=16),
        bbox_head=dict(in_channels=channels, fc_out_channels=128, num_classes=num_classes),
        mask_roi_extractor=dict(out_channels=channels, finest_scale=16),
        mask_head=dict(num_convs=2, in_channels=channels, conv_out_channels=channels, num_classes=num_classes),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=48)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100), rcnn=dict(max_per_img=50)),
)
