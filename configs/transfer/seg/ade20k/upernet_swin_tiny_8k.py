"""UperNet on Swin-T, ADE20K, 8,000 steps, for development.

Command: bash tools/transfer_seg.sh configs/transfer/seg/ade20k/upernet_swin_tiny_8k.py CHECKPOINT 8
Cost: not run here. 8,000 steps of 16 crops of 512 px.
"""

_base_ = [
    "../../../_base_/protocols/ade20k-upernet-8k.py",
    "../../../_base_/backbones/swin_tiny.py",
]

bench = dict(backbone="swin_tiny")
model = dict(
    backbone=dict(
        _delete_=True,
        dense=True,
        init_cfg=dict(type="mixpro_bench.Handover", checkpoint=None),
        **{**_base_.backbone, "drop_path_rate": 0.3},
    ),
    neck=dict(**_base_.pyramid),
)
