"""UperNet on RaftMLP-S, ADE20K, 160,000 steps.

Command: bash tools/transfer_seg.sh configs/transfer/seg/systems/upernet_raft_mlp_s_160k.py CHECKPOINT 8
Cost: not run here. 160,000 steps of 16 crops of 512 px.
Published: none was seen for this backbone and protocol.
"""

_base_ = [
    "../../../_base_/protocols/ade20k-upernet-160k.py",
    "../../../_base_/backbones/raft_mlp_s.py",
]

bench = dict(backbone="raft_mlp_s")
model = dict(
    backbone=dict(
        _delete_=True,
        dense=True,
        init_cfg=dict(type="mixpro_bench.Handover", checkpoint=None),
        **_base_.backbone,
    ),
    neck=dict(**_base_.pyramid),
)
