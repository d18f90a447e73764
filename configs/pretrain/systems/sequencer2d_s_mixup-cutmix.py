"""Sequencer2D-S on ImageNet-1k for 300 epochs with Mixup and CutMix, half and half: the DeiT baseline.

Command: bash tools/pretrain.sh configs/pretrain/systems/sequencer2d_s_mixup-cutmix.py 8
Cost: not run here. By arithmetic 19 EFLOP: 3 x 2 x 8.33 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 82.3 % top-1 (224 px), okojoalg/sequencer README; its authors' own recipe.
"""

_base_ = "sequencer2d_s_none.py"

bench = dict(method="mixup-cutmix", preset="mixup-cutmix")
model = dict(policy=dict(preset="mixup-cutmix"))
