"""HorNet-T with global filters on ImageNet-1k for 300 epochs with MixPro.

MaskMix and PAL on half of the steps, as MixPro's README runs them. Not released for this backbone; what PAL reads here:
class activation map (approximate: the norm behind the pooling enters by its gain only).

Command: bash tools/pretrain.sh configs/pretrain/systems/hornet_tiny_gf_mixpro.py 8
Cost: not run here. By arithmetic 9 EFLOP: 3 x 2 x 3.89 GMAC x 1,281,167 images x 300 epochs (a forward pass, a backward
    pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = "hornet_tiny_gf_none.py"

bench = dict(method="mixpro", preset="mixpro")
model = dict(policy=dict(preset="mixpro", mask_patch=56))
