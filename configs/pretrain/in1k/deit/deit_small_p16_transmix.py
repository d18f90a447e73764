"""DeiT-S/16 on ImageNet-1k for 300 epochs with TransMix as its DeiT-S config runs.

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_small_p16_transmix.py 8
Cost: not run here. By arithmetic 11 EFLOP: 3 x 2 x 4.60 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 80.7 % top-1, openmixup's ImageNet README, marked as the original's; 310 epochs, batch 256, weight decay
    0.03, no random erasing, averaged weights, crop 0.9 in TransMix's own config.
"""

_base_ = "deit_small_p16_none.py"

bench = dict(method="transmix", preset="transmix")
model = dict(policy=dict(preset="transmix"))
