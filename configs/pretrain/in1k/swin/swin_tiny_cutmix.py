"""Swin-T on ImageNet-1k for 300 epochs with CutMix.

Command: bash tools/pretrain.sh configs/pretrain/in1k/swin/swin_tiny_cutmix.py 8
Cost: not run here. By arithmetic 10 EFLOP: 3 x 2 x 4.49 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 81.33 % top-1, openmixup's Mixup_imagenet.md, a re-run with alpha 0.2 instead of 1, best epoch.
"""

_base_ = "swin_tiny_none.py"

bench = dict(method="cutmix", preset="cutmix")
model = dict(policy=dict(preset="cutmix"))
