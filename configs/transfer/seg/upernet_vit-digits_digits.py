"""UperNet on digit scenes: the segmentation half of the demo.

Command: bash tools/transfer_seg.sh configs/transfer/seg/upernet_vit-digits_digits.py CHECKPOINT
"""

_base_ = [
    "../../_base_/models/upernet.py",
    "../../_base_/backbones/vit_digits.py",
    "../../_base_/datasets/digits_seg.py",
    "../../_base_/schedules/digits_transfer.py",
    "../../_base_/runtime.py",
]

bench = dict(task="seg", method="mixpro", preset="mixpro", backbone="vit_digits", protocol="digits-seg", version=1)
default_scope = "mmseg"
channels = 64
num_classes = 11  # background and ten digits
norm_cfg = dict(type="GN", num_groups=16)

model = dict(
    backbone=dict(
        _delete_=True,
        **{**_base_.backbone, "dense": True, "init_cfg": dict(type="mixpro_bench.Handover", checkpoint=None)},
    ),
    neck=dict(_delete_=True, type="mixpro_bench.Pyramid", out_channels=channels, **_base_.pyramid),
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
