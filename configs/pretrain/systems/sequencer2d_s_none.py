"""Sequencer2D-S on ImageNet-1k for 300 epochs without mixing.

Command: bash tools/pretrain.sh configs/pretrain/systems/sequencer2d_s_none.py 8
Cost: not run here. By arithmetic 19 EFLOP: 3 x 2 x 8.33 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = [
    "../../_base_/protocols/in1k-300e.py",
    "../../_base_/backbones/sequencer2d_s.py",
]

bench = dict(backbone="sequencer2d_s")
model = dict(backbone=dict(num_classes=1000, **_base_.backbone), policy=dict(preset="none"))
