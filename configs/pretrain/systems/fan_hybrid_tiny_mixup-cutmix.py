"""FAN-T-Hybrid on ImageNet-1k for 300 epochs with Mixup and CutMix, half and half: the DeiT baseline.

Command: bash tools/pretrain.sh configs/pretrain/systems/fan_hybrid_tiny_mixup-cutmix.py 8
Cost: not run here. By arithmetic 8.4 EFLOP: 3 x 2 x 3.64 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 80.1 % top-1 (224 px), NVlabs/FAN README; its authors' own recipe.
"""

_base_ = "fan_hybrid_tiny_none.py"

bench = dict(method="mixup-cutmix", preset="mixup-cutmix")
model = dict(policy=dict(preset="mixup-cutmix"))
