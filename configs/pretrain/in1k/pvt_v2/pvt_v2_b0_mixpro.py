"""PVTv2-B0 on ImageNet-1k for 300 epochs with MixPro as its README runs it (MaskMix and PAL on half of the steps).

The authors released MaskMix alone for hierarchical models (mixpro-head); attention labels from the mean attention of
the last stage are this package's.

Command: bash tools/pretrain.sh configs/pretrain/in1k/pvt_v2/pvt_v2_b0_mixpro.py 8
Cost: not run here. By arithmetic 1.3 EFLOP: 3 x 2 x 0.57 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = "pvt_v2_b0_none.py"

bench = dict(method="mixpro", preset="mixpro")
model = dict(policy=dict(preset="mixpro", mask_patch=32))
