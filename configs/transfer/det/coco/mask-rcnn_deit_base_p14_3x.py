"""Mask R-CNN on DeiT-B/14, COCO 2017, 36 epochs with multi-scale crops.

Images are padded to multiples of 28; see the backbone's file.

Command: bash tools/transfer_det.sh configs/transfer/det/coco/mask-rcnn_deit_base_p14_3x.py CHECKPOINT 8
Cost: not run here. 36 epochs of at most 118,287 images (those with boxes) of up to 1333 x 800 px.
Published: none was seen for this backbone and protocol.
"""

_base_ = [
    "../../../_base_/protocols/coco-maskrcnn-3x.py",
    "../../../_base_/backbones/deit_base_p14.py",
]

bench = dict(backbone="deit_base_p14")
model = dict(
    data_preprocessor=dict(pad_size_divisor=28),
    backbone=dict(
        _delete_=True,
        dense=True,
        init_cfg=dict(type="mixpro_bench.Handover", checkpoint=None),
        **_base_.backbone,
    ),
    neck=dict(necks=[dict(type="mixpro_bench.Pyramid", out_channels=256, **_base_.pyramid), _base_.fpn]),
)
