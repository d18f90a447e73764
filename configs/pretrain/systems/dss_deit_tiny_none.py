"""DSS on DeiT-T/16 on ImageNet-1k for 300 epochs without mixing.

Command: bash tools/pretrain.sh configs/pretrain/systems/dss_deit_tiny_none.py 8
Cost: not run here. By arithmetic 3 EFLOP: 3 x 2 x 1.29 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = [
    "../../_base_/protocols/in1k-300e.py",
    "../../_base_/backbones/dss_deit_tiny.py",
]

bench = dict(backbone="dss_deit_tiny")
model = dict(backbone=dict(num_classes=1000, **_base_.backbone), policy=dict(preset="none"))
