"""UperNet on DSS on DeiT-T/16, ADE20K, 160,000 steps.

Command: bash tools/transfer_seg.sh configs/transfer/seg/systems/upernet_dss_deit_tiny_160k.py CHECKPOINT 8
Cost: not run here.
Published: none was seen for this backbone and protocol.
"""

_base_ = [
    "../../../_base_/protocols/ade20k-upernet-160k.py",
    "../../../_base_/backbones/dss_deit_tiny.py",
]

bench = dict(backbone="dss_deit_tiny")
model = dict(
    backbone=dict(
        _delete_=True,
        dense=True,
        init_cfg=dict(type="mixpro_bench.Handover", checkpoint=None),
        **_base_.backbone,
    ),
    neck=dict(**_base_.pyramid),
)
