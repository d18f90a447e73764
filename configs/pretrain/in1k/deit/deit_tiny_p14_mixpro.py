"""DeiT-T/14 on ImageNet-1k for 300 epochs with MixPro as its README runs it (MaskMix and PAL on half of the steps).

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_tiny_p14_mixpro.py 8
Cost: not run here. By arithmetic 3.9 EFLOP: 3 x 2 x 1.70 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 73.8 % top-1 for DeiT-T, abstract of arXiv 2304.12043; which patch and which PAL setting it used was not
    seen.
"""

_base_ = "deit_tiny_p14_none.py"

bench = dict(method="mixpro", preset="mixpro")
model = dict(policy=dict(preset="mixpro", mask_patch=56))
