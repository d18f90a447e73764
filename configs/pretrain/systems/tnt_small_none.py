"""TNT-S on ImageNet-1k for 300 epochs without mixing.

Command: bash tools/pretrain.sh configs/pretrain/systems/tnt_small_none.py 8
Cost: not run here. By arithmetic 12 EFLOP: 3 x 2 x 5.22 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = [
    "../../_base_/protocols/in1k-300e.py",
    "../../_base_/backbones/tnt_small.py",
]

bench = dict(backbone="tnt_small")
model = dict(backbone=dict(num_classes=1000, **_base_.backbone), policy=dict(preset="none"))
