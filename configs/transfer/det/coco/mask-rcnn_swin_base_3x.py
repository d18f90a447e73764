"""Mask R-CNN on Swin-B, COCO 2017, 36 epochs with multi-scale crops.

Drop path 0.2 is that of mmdet's Swin-T and Swin-S; mmdet has no Mask R-CNN on Swin-B.

Command: bash tools/transfer_det.sh configs/transfer/det/coco/mask-rcnn_swin_base_3x.py CHECKPOINT 8
Cost: not run here. 36 epochs of at most 118,287 images (those with boxes) of up to 1333 x 800 px.
Published: none was seen for this backbone and protocol.
"""

_base_ = [
    "../../../_base_/protocols/coco-maskrcnn-3x.py",
    "../../../_base_/backbones/swin_base.py",
]

bench = dict(backbone="swin_base")
model = dict(
    backbone=dict(
        _delete_=True,
        dense=True,
        init_cfg=dict(type="mixpro_bench.Handover", checkpoint=None),
        **{**_base_.backbone, "drop_path_rate": 0.2},
    ),
    neck=dict(necks=[dict(type="mixpro_bench.Pyramid", out_channels=256, **_base_.pyramid), _base_.fpn]),
)
