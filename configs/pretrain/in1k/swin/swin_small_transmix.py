"""Swin-S on ImageNet-1k for 300 epochs with TransMix as its DeiT-S config runs.

Code for this backbone was not released: importance is the mean attention of the last stage.

Command: bash tools/pretrain.sh configs/pretrain/in1k/swin/swin_small_transmix.py 8
Cost: not run here. By arithmetic 20 EFLOP: 3 x 2 x 8.74 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = "swin_small_none.py"

bench = dict(method="transmix", preset="transmix")
model = dict(policy=dict(preset="transmix"))
