"""DSS on DeiT-T/16 on ImageNet-1k for 300 epochs with MixPro.

MaskMix and PAL on half of the steps, as MixPro's README runs them. Not released for this backbone; what PAL reads here:
class token's row in the last block, in which dropped patches have no weight.

Command: bash tools/pretrain.sh configs/pretrain/systems/dss_deit_tiny_mixpro.py 8
Cost: not run here. By arithmetic 3 EFLOP: 3 x 2 x 1.29 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = "dss_deit_tiny_none.py"

bench = dict(method="mixpro", preset="mixpro")
model = dict(policy=dict(preset="mixpro", mask_patch=32))
