"""Swin-T on ImageNet-1k for 300 epochs with TransMix as its DeiT-S config runs.

Code for this backbone was not released: importance is the mean attention of the last stage.

Command: bash tools/pretrain.sh configs/pretrain/in1k/swin/swin_tiny_transmix.py 8
Cost: not run here. By arithmetic 10 EFLOP: 3 x 2 x 4.49 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 81.8 % top-1, openmixup's Mixup_imagenet.md; TransMix's code for Swin is not released.
"""

_base_ = "swin_tiny_none.py"

bench = dict(method="transmix", preset="transmix")
model = dict(policy=dict(preset="transmix"))
