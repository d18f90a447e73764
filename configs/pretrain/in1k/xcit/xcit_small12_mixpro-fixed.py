"""XCiT-S12/16 on ImageNet-1k for 300 epochs with MixPro, mended (pixel areas, smoothed labels, detached factor).

Attention labels from class attention are this package's.

Command: bash tools/pretrain.sh configs/pretrain/in1k/xcit/xcit_small12_mixpro-fixed.py 8
Cost: not run here. By arithmetic 11 EFLOP: 3 x 2 x 4.80 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = "xcit_small12_none.py"

bench = dict(method="mixpro", preset="mixpro-fixed")
model = dict(policy=dict(preset="mixpro-fixed", mask_patch=32))
