"""TNT-S on ImageNet-1k for 300 epochs with Mixup and CutMix, half and half: the DeiT baseline.

Command: bash tools/pretrain.sh configs/pretrain/systems/tnt_small_mixup-cutmix.py 8
Cost: not run here. By arithmetic 12 EFLOP: 3 x 2 x 5.22 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 81.5 % top-1 (224 px), huawei-noah/Efficient-AI-Backbones README; its authors' own recipe.
"""

_base_ = "tnt_small_none.py"

bench = dict(method="mixup-cutmix", preset="mixup-cutmix")
model = dict(policy=dict(preset="mixup-cutmix"))
