"""RaftMLP-S on ImageNet-1k for 300 epochs without mixing.

Command: bash tools/pretrain.sh configs/pretrain/systems/raft_mlp_s_none.py 8
Cost: not run here. By arithmetic 4.8 EFLOP: 3 x 2 x 2.09 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = [
    "../../_base_/protocols/in1k-300e.py",
    "../../_base_/backbones/raft_mlp_s.py",
]

bench = dict(backbone="raft_mlp_s")
model = dict(backbone=dict(num_classes=1000, **_base_.backbone), policy=dict(preset="none"))
