"""UperNet on DeiT-B/16, ADE20K, 160,000 steps.

Command: bash tools/transfer_seg.sh configs/transfer/seg/ade20k/upernet_deit_base_p16_160k.py CHECKPOINT 8
Cost: not run here. 160,000 steps of 16 crops of 512 px.
Published: mIoU 45.36, mmsegmentation's own, configs/vit/README.md; there no pyramid, synchronised batch norm in the
    heads, and the backbone's layer norms are decayed.
"""

_base_ = [
    "../../../_base_/protocols/ade20k-upernet-160k.py",
    "../../../_base_/backbones/deit_base_p16.py",
]

bench = dict(backbone="deit_base_p16")
model = dict(
    backbone=dict(
        _delete_=True,
        dense=True,
        init_cfg=dict(type="mixpro_bench.Handover", checkpoint=None),
        **_base_.backbone,
    ),
    neck=dict(**_base_.pyramid),
)
