"""FCViT-tiny on ImageNet-1k for 300 epochs with Mixup and CutMix, half and half: the DeiT baseline.

Command: bash tools/pretrain.sh configs/pretrain/systems/fcvit_tiny_mixup-cutmix.py 8
Cost: not run here. By arithmetic 2.1 EFLOP: 3 x 2 x 0.90 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 74.9 % top-1 (224 px), ma-xu/FCViT README; its authors' own recipe.
"""

_base_ = "fcvit_tiny_none.py"

bench = dict(method="mixup-cutmix", preset="mixup-cutmix")
model = dict(policy=dict(preset="mixup-cutmix"))
