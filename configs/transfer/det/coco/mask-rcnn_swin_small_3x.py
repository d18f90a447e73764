"""Mask R-CNN on Swin-S, COCO 2017, 36 epochs with multi-scale crops.

Command: bash tools/transfer_det.sh configs/transfer/det/coco/mask-rcnn_swin_small_3x.py CHECKPOINT 8
Cost: not run here. 36 epochs of at most 118,287 images (those with boxes) of up to 1333 x 800 px.
Published: box AP 48.2, mask AP 43.2 in fp16 (mmdet's own Swin-S 3x, configs/swin/README.md); there the FPN stands on
    the backbone's maps without the pyramid, and only norms, positions and bias tables go without decay.
"""

_base_ = [
    "../../../_base_/protocols/coco-maskrcnn-3x.py",
    "../../../_base_/backbones/swin_small.py",
]

bench = dict(backbone="swin_small")
model = dict(
    backbone=dict(
        _delete_=True,
        dense=True,
        init_cfg=dict(type="mixpro_bench.Handover", checkpoint=None),
        **{**_base_.backbone, "drop_path_rate": 0.2},
    ),
    neck=dict(necks=[dict(type="mixpro_bench.Pyramid", out_channels=256, **_base_.pyramid), _base_.fpn]),
)
