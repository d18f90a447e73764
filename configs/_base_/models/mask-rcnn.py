"""MMDetection's Mask R-CNN behind the pyramid, at its own size; a leaf config names backbone and pyramid."""

_base_ = "mmdet::_base_/models/mask-rcnn_r50_fpn.py"

model = dict(
    neck=dict(
        _delete_=True,
        type="mixpro_bench.NeckSequence",
        necks=[
            dict(type="mixpro_bench.Pyramid", in_channels=None, in_strides=None, out_channels=256),
            dict(type="mmdet.FPN", in_channels=[256] * 4, out_channels=256, num_outs=5),
        ],
    ),
)
