"""UperNet on DeiT-B/14, ADE20K, 80,000 steps.

Crops of 512 px are padded to 532, test images to multiples of 28; see the backbone's file.

Command: bash tools/transfer_seg.sh configs/transfer/seg/ade20k/upernet_deit_base_p14_80k.py CHECKPOINT 8
Cost: not run here. 80,000 steps of 16 crops of 512 px.
Published: none was seen for this backbone and protocol.
"""

_base_ = [
    "../../../_base_/protocols/ade20k-upernet-80k.py",
    "../../../_base_/backbones/deit_base_p14.py",
]

bench = dict(backbone="deit_base_p14")
model = dict(
    data_preprocessor=dict(size=(532, 532), test_cfg=dict(size_divisor=28)),
    backbone=dict(
        _delete_=True,
        dense=True,
        init_cfg=dict(type="mixpro_bench.Handover", checkpoint=None),
        **_base_.backbone,
    ),
    neck=dict(**_base_.pyramid),
)
