"""UperNet on Swin-S, ADE20K, 80,000 steps.

Command: bash tools/transfer_seg.sh configs/transfer/seg/ade20k/upernet_swin_small_80k.py CHECKPOINT 8
Cost: not run here. 80,000 steps of 16 crops of 512 px.
Published: none was seen for this backbone and protocol.
"""

_base_ = [
    "../../../_base_/protocols/ade20k-upernet-80k.py",
    "../../../_base_/backbones/swin_small.py",
]

bench = dict(backbone="swin_small")
model = dict(
    backbone=dict(
        _delete_=True,
        dense=True,
        init_cfg=dict(type="mixpro_bench.Handover", checkpoint=None),
        **_base_.backbone,
    ),
    neck=dict(**_base_.pyramid),
)
