"""Mask R-CNN on RegionViT-Ti, COCO 2017, 12 epochs.

Command: bash tools/transfer_det.sh configs/transfer/det/systems/mask-rcnn_regionvit_tiny_1x.py CHECKPOINT 8
Cost: not run here. 12 epochs of at most 118,287 images (those with boxes) of up to 1333 x 800 px.
Published: box AP 42.5, mask AP 39.5 (RegionViT-S, IBM/RegionViT README); there without the pyramid.
"""

_base_ = [
    "../../../_base_/protocols/coco-maskrcnn-1x.py",
    "../../../_base_/backbones/regionvit_tiny.py",
]

bench = dict(backbone="regionvit_tiny")
model = dict(
    backbone=dict(
        _delete_=True,
        dense=True,
        init_cfg=dict(type="mixpro_bench.Handover", checkpoint=None),
        **_base_.backbone,
    ),
    neck=dict(necks=[dict(type="mixpro_bench.Pyramid", out_channels=256, **_base_.pyramid), _base_.fpn]),
)
