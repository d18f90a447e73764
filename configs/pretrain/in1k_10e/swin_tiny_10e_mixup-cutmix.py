"""Swin-T on ImageNet-1k for 10 epochs with Mixup and CutMix, half and half: the DeiT baseline; for development.

Command: bash tools/pretrain.sh configs/pretrain/in1k_10e/swin_tiny_10e_mixup-cutmix.py 8
Cost: not run here. By arithmetic 0.35 EFLOP: 3 x 2 x 4.49 GMAC x 1,281,167 images x 10 epochs (a forward pass, a
    backward pass of twice that).
"""

_base_ = "swin_tiny_10e_none.py"

bench = dict(method="mixup-cutmix", preset="mixup-cutmix")
model = dict(policy=dict(preset="mixup-cutmix"))
