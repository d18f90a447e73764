"""DeiT-S/14 under MixPro's own recipe with MixPro as its README runs it (PAL on).

Command: bash tools/pretrain.sh configs/pretrain/in1k_official/deit_small_p14_official-mixpro_mixpro.py 8
Cost: not run here. By arithmetic 14 EFLOP: 3 x 2 x 6.12 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = "deit_small_p14_official-mixpro_mixup-cutmix.py"

bench = dict(method="mixpro", preset="mixpro")
model = dict(policy=dict(preset="mixpro", mask_patch=56))
