"""Mask R-CNN on DSS on DeiT-T/16, COCO 2017, 12 epochs.

Command: bash tools/transfer_det.sh configs/transfer/det/systems/mask-rcnn_dss_deit_tiny_1x.py CHECKPOINT 8
Cost: not run here.
Published: none was seen for this backbone and protocol.
"""

_base_ = [
    "../../../_base_/protocols/coco-maskrcnn-1x.py",
    "../../../_base_/backbones/dss_deit_tiny.py",
]

bench = dict(backbone="dss_deit_tiny")
model = dict(
    backbone=dict(
        _delete_=True,
        dense=True,
        init_cfg=dict(type="mixpro_bench.Handover", checkpoint=None),
        **_base_.backbone,
    ),
    neck=dict(necks=[dict(type="mixpro_bench.Pyramid", out_channels=256, **_base_.pyramid), _base_.fpn]),
)
