"""UperNet with a small head, for pictures of 100 to 300 pixels on a CPU; a leaf config names backbone and pyramid."""

_base_ = "upernet.py"

channels = 64
num_classes = 10
norm_cfg = dict(type="GN", num_groups=16)

model = dict(
    decode_head=dict(
        in_channels=[channels] * 4,
        channels=channels,
        pool_scales=(1, 2, 3),
        num_classes=num_classes,
        norm_cfg=dict(_delete_=True, **norm_cfg),
    ),
    auxiliary_head=dict(
        in_channels=channels, channels=channels, num_classes=num_classes, norm_cfg=dict(_delete_=True, **norm_cfg)
    ),
)
