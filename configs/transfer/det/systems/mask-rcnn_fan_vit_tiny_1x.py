"""Mask R-CNN on FAN-T-ViT, COCO 2017, 12 epochs.

Command: bash tools/transfer_det.sh configs/transfer/det/systems/mask-rcnn_fan_vit_tiny_1x.py CHECKPOINT 8
Cost: not run here. 12 epochs of at most 118,287 images (those with boxes) of up to 1333 x 800 px.
Published: none was seen for this backbone and protocol.
"""

_base_ = [
    "../../../_base_/protocols/coco-maskrcnn-1x.py",
    "../../../_base_/backbones/fan_vit_tiny.py",
]

bench = dict(backbone="fan_vit_tiny")
model = dict(
    backbone=dict(
        _delete_=True,
        dense=True,
        init_cfg=dict(type="mixpro_bench.Handover", checkpoint=None),
        **_base_.backbone,
    ),
    neck=dict(necks=[dict(type="mixpro_bench.Pyramid", out_channels=256, **_base_.pyramid), _base_.fpn]),
)
