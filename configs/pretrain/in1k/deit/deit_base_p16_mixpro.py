"""DeiT-B/16 on ImageNet-1k for 300 epochs with MixPro as its README runs it (MaskMix and PAL on half of the steps).

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_base_p16_mixpro.py 8
Cost: not run here. By arithmetic 40 EFLOP: 3 x 2 x 17.56 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = "deit_base_p16_none.py"

bench = dict(method="mixpro", preset="mixpro")
model = dict(policy=dict(preset="mixpro", mask_patch=32))
