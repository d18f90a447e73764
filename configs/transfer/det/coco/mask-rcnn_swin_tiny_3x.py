"""Mask R-CNN on Swin-T, COCO 2017, 36 epochs with multi-scale crops.

Command: bash tools/transfer_det.sh configs/transfer/det/coco/mask-rcnn_swin_tiny_3x.py CHECKPOINT 8
Cost: not run here. 36 epochs of at most 118,287 images (those with boxes) of up to 1333 x 800 px.
Published: box AP 46.0, mask AP 41.6 (mmdet's own Swin-T 3x, configs/swin/README.md); there the FPN stands on the
    backbone's maps without the pyramid, and only norms, positions and bias tables go without decay.
"""

_base_ = [
    "../../../_base_/protocols/coco-maskrcnn-3x.py",
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
