"""UperNet on HorNet-T, ADE20K, 160,000 steps.

Command: bash tools/transfer_seg.sh configs/transfer/seg/systems/upernet_hornet_tiny_160k.py CHECKPOINT 8
Cost: not run here. 160,000 steps of 16 crops of 512 px.
Published: mIoU 48.1 (HorNet-T 7x7, raoyongming/HorNet README); there without the pyramid.
"""

_base_ = [
    "../../../_base_/protocols/ade20k-upernet-160k.py",
    "../../../_base_/backbones/hornet_tiny.py",
]

bench = dict(backbone="hornet_tiny")
model = dict(
    backbone=dict(
        _delete_=True,
        dense=True,
        init_cfg=dict(type="mixpro_bench.Handover", checkpoint=None),
        **_base_.backbone,
    ),
    neck=dict(**_base_.pyramid),
)
