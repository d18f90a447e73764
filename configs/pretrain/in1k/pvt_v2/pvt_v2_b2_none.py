"""PVTv2-B2 on ImageNet-1k for 300 epochs without mixing.

Command: bash tools/pretrain.sh configs/pretrain/in1k/pvt_v2/pvt_v2_b2_none.py 8
Cost: not run here. By arithmetic 9.3 EFLOP: 3 x 2 x 4.03 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = [
    "../../../_base_/protocols/in1k-300e.py",
    "../../../_base_/backbones/pvt_v2_b2.py",
]

bench = dict(backbone="pvt_v2_b2")
model = dict(backbone=dict(num_classes=1000, **_base_.backbone), policy=dict(preset="none"))
