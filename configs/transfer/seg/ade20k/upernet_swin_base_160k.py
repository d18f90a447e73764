"""UperNet on Swin-B, ADE20K, 160,000 steps.

Command: bash tools/transfer_seg.sh configs/transfer/seg/ade20k/upernet_swin_base_160k.py CHECKPOINT 8
Cost: not run here. 160,000 steps of 16 crops of 512 px.
Published: mIoU 47.99, mmsegmentation's own, configs/swin/README.md; there synchronised batch norm in the heads, and the
    head stands on the backbone's maps without the pyramid.
"""

_base_ = [
    "../../../_base_/protocols/ade20k-upernet-160k.py",
    "../../../_base_/backbones/swin_base.py",
]

bench = dict(backbone="swin_base")
model = dict(
    backbone=dict(
        _delete_=True,
        dense=True,
        init_cfg=dict(type="mixpro_bench.Handover", checkpoint=None),
        **{**_base_.backbone, "drop_path_rate": 0.3},
    ),
    neck=dict(**_base_.pyramid),
)
