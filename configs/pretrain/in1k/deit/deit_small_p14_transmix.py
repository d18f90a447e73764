"""DeiT-S/14 on ImageNet-1k for 300 epochs with TransMix as its DeiT-S config runs.

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_small_p14_transmix.py 8
Cost: not run here. By arithmetic 14 EFLOP: 3 x 2 x 6.12 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = "deit_small_p14_none.py"

bench = dict(method="transmix", preset="transmix")
model = dict(policy=dict(preset="transmix"))
