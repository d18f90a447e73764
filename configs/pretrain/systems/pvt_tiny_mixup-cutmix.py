"""PVT-T on ImageNet-1k for 300 epochs with Mixup and CutMix, half and half: the DeiT baseline.

Command: bash tools/pretrain.sh configs/pretrain/systems/pvt_tiny_mixup-cutmix.py 8
Cost: not run here. By arithmetic 4.5 EFLOP: 3 x 2 x 1.93 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 75.1 % top-1 (224 px, 300 epochs), whai362/PVT README; its authors' own recipe.
"""

_base_ = "pvt_tiny_none.py"

bench = dict(method="mixup-cutmix", preset="mixup-cutmix")
model = dict(policy=dict(preset="mixup-cutmix"))
