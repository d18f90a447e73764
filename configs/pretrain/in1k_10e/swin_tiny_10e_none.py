"""Swin-T on ImageNet-1k for 10 epochs without mixing; for development.

Command: bash tools/pretrain.sh configs/pretrain/in1k_10e/swin_tiny_10e_none.py 8
Cost: not run here. By arithmetic 0.35 EFLOP: 3 x 2 x 4.49 GMAC x 1,281,167 images x 10 epochs (a forward pass, a
    backward pass of twice that).
"""

_base_ = [
    "../../_base_/protocols/in1k-10e.py",
    "../../_base_/backbones/swin_tiny.py",
]

bench = dict(backbone="swin_tiny")
model = dict(backbone=dict(num_classes=1000, **_base_.backbone), policy=dict(preset="none"))
