"""DeiT-T/16 on ImageNet-1k for 10 epochs with CutMix; for development.

Command: bash tools/pretrain.sh configs/pretrain/in1k_10e/deit_tiny_p16_10e_cutmix.py 8
Cost: not run here. By arithmetic 0.096 EFLOP: 3 x 2 x 1.25 GMAC x 1,281,167 images x 10 epochs (a forward pass, a
    backward pass of twice that).
"""

_base_ = "deit_tiny_p16_10e_none.py"

bench = dict(method="cutmix", preset="cutmix")
model = dict(policy=dict(preset="cutmix"))
