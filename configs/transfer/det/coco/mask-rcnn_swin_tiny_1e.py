"""Mask R-CNN on Swin-T, COCO 2017, one epoch, for development.

Command: bash tools/transfer_det.sh configs/transfer/det/coco/mask-rcnn_swin_tiny_1e.py CHECKPOINT 8
Cost: not run here. One epoch of at most 118,287 images (those with boxes) of up to 1333 x 800 px.
"""

_base_ = [
    "../../../_base_/protocols/coco-maskrcnn-1e.py",
    "../../../_base_/backbones/swin_tiny.py",
]

bench = dict(backbone="swin_tiny")
model = dict(
    backbone=dict(
        _delete_=True,
        dense=True,
        init_cfg=dict(type="mixpro_bench.Handover", checkpoint=None),
        **_base_.backbone,
    ),
    neck=dict(necks=[dict(type="mixpro_bench.Pyramid", out_channels=256, **_base_.pyramid), _base_.fpn]),
)
