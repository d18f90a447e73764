"""XCiT-T12/16 on ImageNet-1k for 300 epochs without mixing.

Command: bash tools/pretrain.sh configs/pretrain/in1k/xcit/xcit_tiny12_none.py 8
Cost: not run here. By arithmetic 2.8 EFLOP: 3 x 2 x 1.23 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = [
    "../../../_base_/protocols/in1k-300e.py",
    "../../../_base_/backbones/xcit_tiny12.py",
]

bench = dict(backbone="xcit_tiny12")
model = dict(backbone=dict(num_classes=1000, **_base_.backbone), policy=dict(preset="none"))
