"""UperNet on digit scenes: the segmentation half of the demo.

Command: bash tools/transfer_seg.sh configs/transfer/seg/upernet_vit-digits_digits.py CHECKPOINT
Cost: 1.4 M parameters, 0.2 s of one CPU core for a step of 8 images.
"""

_base_ = [
    "../../_base_/models/upernet_light.py",
    "../../_base_/backbones/vit_digits.py",
    "../../_base_/datasets/digits_seg.py",
    "../../_base_/schedules/short_transfer.py",
    "../../_base_/runtime.py",
]

bench = dict(task="seg", method="mixpro", preset="mixpro", backbone="vit_digits", protocol="digits-seg", version=1)
default_scope = "mmseg"
model = dict(
    backbone=dict(
        _delete_=True,
        **{**_base_.backbone, "dense": True, "init_cfg": dict(type="mixpro_bench.Handover", checkpoint=None)},
    ),
    neck=dict(_delete_=True, type="mixpro_bench.Pyramid", out_channels=_base_.channels, **_base_.pyramid),
)
