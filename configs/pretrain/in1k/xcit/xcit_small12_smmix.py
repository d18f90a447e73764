"""XCiT-S12/16 on ImageNet-1k for 300 epochs with SMMix as released.

Code for this backbone was not released: windows are chosen by class attention.

Command: bash tools/pretrain.sh configs/pretrain/in1k/xcit/xcit_small12_smmix.py 8
Cost: not run here. By arithmetic 13 EFLOP: 3.5 x 2 x 4.80 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that, a second forward pass on half of the steps).
Published: none was seen for this backbone and method.
"""

_base_ = "xcit_small12_none.py"

bench = dict(method="smmix", preset="smmix")
model = dict(policy=dict(preset="smmix", importance="class_attn"))
