"""DeiT-S/16 on ImageNet-1k for 300 epochs with MixPro as its README runs it (MaskMix and PAL on half of the steps).

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_small_p16_mixpro.py 8
Cost: not run here. By arithmetic 11 EFLOP: 3 x 2 x 4.60 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none by the authors was seen. Re-run on openmixup, whose MixPro differs: 79.33 % (MergeMix paper, table 3).
"""

_base_ = "deit_small_p16_none.py"

bench = dict(method="mixpro", preset="mixpro")
model = dict(policy=dict(preset="mixpro", mask_patch=32))
