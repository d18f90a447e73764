"""DeiT-T/16 on ImageNet-1k for 300 epochs with MixPro as its README runs it (MaskMix and PAL on half of the steps).

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_tiny_p16_mixpro.py 8
Cost: not run here. By arithmetic 2.9 EFLOP: 3 x 2 x 1.25 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 73.8 % top-1 for DeiT-T, abstract of arXiv 2304.12043; released settings have patch 14, which costs a third
    more.
"""

_base_ = "deit_tiny_p16_none.py"

bench = dict(method="mixpro", preset="mixpro")
model = dict(policy=dict(preset="mixpro", mask_patch=32))
