"""DeiT-T/14 on ImageNet-1k for 300 epochs with CutMix.

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_tiny_p14_cutmix.py 8
Cost: not run here. By arithmetic 3.9 EFLOP: 3 x 2 x 1.70 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = "deit_tiny_p14_none.py"

bench = dict(method="cutmix", preset="cutmix")
model = dict(policy=dict(preset="cutmix"))
