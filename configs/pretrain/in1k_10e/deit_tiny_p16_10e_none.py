"""DeiT-T/16 on ImageNet-1k for 10 epochs without mixing; for development.

Command: bash tools/pretrain.sh configs/pretrain/in1k_10e/deit_tiny_p16_10e_none.py 8
Cost: not run here. By arithmetic 0.096 EFLOP: 3 x 2 x 1.25 GMAC x 1,281,167 images x 10 epochs (a forward pass, a
    backward pass of twice that).
"""

_base_ = [
    "../../_base_/protocols/in1k-10e.py",
    "../../_base_/backbones/deit_tiny_p16.py",
]

bench = dict(backbone="deit_tiny_p16")
model = dict(backbone=dict(num_classes=1000, **_base_.backbone), policy=dict(preset="none"))
