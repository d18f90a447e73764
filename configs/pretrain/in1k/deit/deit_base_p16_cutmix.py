"""DeiT-B/16 on ImageNet-1k for 300 epochs with CutMix.

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_base_p16_cutmix.py 8
Cost: not run here. By arithmetic 40 EFLOP: 3 x 2 x 17.56 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 81.61 % top-1, openmixup's Mixup_imagenet.md, a re-run with alpha 0.2 instead of 1, best epoch.
"""

_base_ = "deit_base_p16_none.py"

bench = dict(method="cutmix", preset="cutmix")
model = dict(policy=dict(preset="cutmix"))
