"""DeiT-S/16 under TransMix's own recipe with TransMix as its DeiT-S config runs.

Command: bash tools/pretrain.sh configs/pretrain/in1k_official/deit_small_p16_official-transmix_transmix.py 8
Cost: not run here. By arithmetic 11 EFLOP: 3 x 2 x 4.60 GMAC x 1,281,167 images x 310 epochs (a forward pass, a
    backward pass of twice that).
Published: 80.7 % top-1, openmixup's ImageNet README, marked as the original's; best epoch of the average there.
"""

_base_ = "deit_small_p16_official-transmix_mixup-cutmix.py"

bench = dict(method="transmix", preset="transmix")
model = dict(policy=dict(preset="transmix"))
