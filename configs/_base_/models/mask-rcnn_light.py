"""Mask R-CNN with small heads, for pictures of 100 to 300 pixels on a CPU; a leaf config names backbone and pyramid."""

_base_ = "mask-rcnn.py"

channels = 64
num_classes = 10

model = dict(
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
