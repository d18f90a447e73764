"""HorNet-T with global filters on ImageNet-1k for 300 epochs with Mixup and CutMix, half and half: the DeiT baseline.

Command: bash tools/pretrain.sh configs/pretrain/systems/hornet_tiny_gf_mixup-cutmix.py 8
Cost: not run here. By arithmetic 9 EFLOP: 3 x 2 x 3.89 GMAC x 1,281,167 images x 300 epochs (a forward pass, a backward
    pass of twice that).
Published: 83 % top-1 (224 px), raoyongming/HorNet README; its authors' own recipe.
"""

_base_ = "hornet_tiny_gf_none.py"

bench = dict(method="mixup-cutmix", preset="mixup-cutmix")
model = dict(policy=dict(preset="mixup-cutmix"))
