"""DeiT-S/16 under SMMix's own recipe with SMMix as released.

Command: bash tools/pretrain.sh configs/pretrain/in1k_official/deit_small_p16_official-smmix_smmix.py 4
Cost: not run here. By arithmetic 12 EFLOP: 3.5 x 2 x 4.60 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that, a second forward pass on half of the steps).
Published: 81.1 % top-1, README of ChenMnZ/SMMix; best epoch there.
"""

_base_ = "deit_small_p16_official-smmix_mixup-cutmix.py"

bench = dict(method="smmix", preset="smmix")
model = dict(policy=dict(preset="smmix"))
