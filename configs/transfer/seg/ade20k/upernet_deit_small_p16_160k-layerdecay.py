"""UperNet on DeiT-S/16, ADE20K, 160,000 steps, with learning rates that fall layer by layer.

Command: bash tools/transfer_seg.sh configs/transfer/seg/ade20k/upernet_deit_small_p16_160k-layerdecay.py CHECKPOINT 8
Cost: not run here. 160,000 steps of 16 crops of 512 px.
Published: none was seen for this backbone and protocol. Near: mIoU 42.87, mmsegmentation's own, configs/vit/README.md;
    there no layer decay, no pyramid, and the backbone's layer norms are decayed.
"""

_base_ = [
    "../../../_base_/protocols/ade20k-upernet-160k-layerdecay.py",
    "../../../_base_/backbones/deit_small_p16.py",
]

bench = dict(backbone="deit_small_p16")
model = dict(
    backbone=dict(
        _delete_=True,
        dense=True,
        init_cfg=dict(type="mixpro_bench.Handover", checkpoint=None),
        **_base_.backbone,
    ),
    neck=dict(**_base_.pyramid),
)
