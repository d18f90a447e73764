"""Swin-T on ImageNet-1k for 10 epochs with MixPro as its README runs it; for development.

The authors released MaskMix alone for hierarchical models (mixpro-head); attention labels from the mean attention of
the last stage are this package's.

Command: bash tools/pretrain.sh configs/pretrain/in1k_10e/swin_tiny_10e_mixpro.py 8
Cost: not run here. By arithmetic 0.35 EFLOP: 3 x 2 x 4.49 GMAC x 1,281,167 images x 10 epochs (a forward pass, a
    backward pass of twice that).
"""

_base_ = "swin_tiny_10e_none.py"

bench = dict(method="mixpro", preset="mixpro")
model = dict(policy=dict(preset="mixpro", mask_patch=56))
