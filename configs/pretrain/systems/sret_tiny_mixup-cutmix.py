"""SReT-T on ImageNet-1k for 300 epochs with Mixup and CutMix, half and half: the DeiT baseline.

Command: bash tools/pretrain.sh configs/pretrain/systems/sret_tiny_mixup-cutmix.py 8
Cost: not run here. By arithmetic 2.6 EFLOP: 3 x 2 x 1.11 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 76 % top-1 (224 px), szq0214/SReT README; its authors' own recipe.
"""

_base_ = "sret_tiny_none.py"

bench = dict(method="mixup-cutmix", preset="mixup-cutmix")
model = dict(policy=dict(preset="mixup-cutmix"))
