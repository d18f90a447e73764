"""DeiT-T/16 on ImageNet-1k for 300 epochs with SMMix as released.

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_tiny_p16_smmix.py 8
Cost: not run here. By arithmetic 3.4 EFLOP: 3.5 x 2 x 1.25 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that, a second forward pass on half of the steps).
Published: 73.6 % top-1, README of ChenMnZ/SMMix; warm-up of 5, no random erasing, best epoch there.
"""

_base_ = "deit_tiny_p16_none.py"

bench = dict(method="smmix", preset="smmix")
model = dict(policy=dict(preset="smmix"))
