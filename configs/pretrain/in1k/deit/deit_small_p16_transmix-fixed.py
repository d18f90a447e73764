"""DeiT-S/16 on ImageNet-1k for 300 epochs with TransMix, mended (exact token areas).

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_small_p16_transmix-fixed.py 8
Cost: not run here. By arithmetic 11 EFLOP: 3 x 2 x 4.60 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = "deit_small_p16_none.py"

bench = dict(method="transmix", preset="transmix-fixed")
model = dict(policy=dict(preset="transmix-fixed"))
