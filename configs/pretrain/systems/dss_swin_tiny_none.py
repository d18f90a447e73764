"""DSS on Swin-T on ImageNet-1k for 300 epochs without mixing.

Command: bash tools/pretrain.sh configs/pretrain/systems/dss_swin_tiny_none.py 8
Cost: not run here. By arithmetic 11 EFLOP: 3 x 2 x 4.78 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = [
    "../../_base_/protocols/in1k-300e.py",
    "../../_base_/backbones/dss_swin_tiny.py",
]

bench = dict(backbone="dss_swin_tiny")
model = dict(backbone=dict(num_classes=1000, **_base_.backbone), policy=dict(preset="none"))
