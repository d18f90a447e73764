"""DSS on DeiT-T/16 on ImageNet-1k for 300 epochs with Mixup and CutMix, half and half: the DeiT baseline.

Command: bash tools/pretrain.sh configs/pretrain/systems/dss_deit_tiny_mixup-cutmix.py 8
Cost: not run here. By arithmetic 3 EFLOP: 3 x 2 x 1.29 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = "dss_deit_tiny_none.py"

bench = dict(method="mixup-cutmix", preset="mixup-cutmix")
model = dict(policy=dict(preset="mixup-cutmix"))
