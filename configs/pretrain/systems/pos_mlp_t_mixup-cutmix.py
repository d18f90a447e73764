"""PosMLP-T on ImageNet-1k for 300 epochs with Mixup and CutMix, half and half: the DeiT baseline.

Command: bash tools/pretrain.sh configs/pretrain/systems/pos_mlp_t_mixup-cutmix.py 8
Cost: not run here. By arithmetic 12 EFLOP: 3 x 2 x 5.06 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 82.1 % top-1 (224 px), Zhicaiwww/PosMLP README; its authors' own recipe.
"""

_base_ = "pos_mlp_t_none.py"

bench = dict(method="mixup-cutmix", preset="mixup-cutmix")
model = dict(policy=dict(preset="mixup-cutmix"))
