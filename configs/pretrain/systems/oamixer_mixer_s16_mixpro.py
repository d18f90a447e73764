"""OAMixer on Mixer-S/16 on ImageNet-1k for 300 epochs with MixPro.

MaskMix and PAL on half of the steps, as MixPro's README runs them. Not released for this backbone; what PAL reads here:
class activation map (exact: the norm stands before pooling).

Command: bash tools/pretrain.sh configs/pretrain/systems/oamixer_mixer_s16_mixpro.py 8
Cost: not run here. By arithmetic 8.7 EFLOP: 3 x 2 x 3.78 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = "oamixer_mixer_s16_none.py"

bench = dict(method="mixpro", preset="mixpro")
model = dict(policy=dict(preset="mixpro", mask_patch=32))
