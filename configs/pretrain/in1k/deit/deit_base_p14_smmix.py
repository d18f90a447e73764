"""DeiT-B/14 on ImageNet-1k for 300 epochs with SMMix as released.

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_base_p14_smmix.py 8
Cost: not run here. By arithmetic 62 EFLOP: 3.5 x 2 x 23.16 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that, a second forward pass on half of the steps).
Published: none was seen for this backbone and method.
"""

_base_ = "deit_base_p14_none.py"

bench = dict(method="smmix", preset="smmix")
model = dict(policy=dict(preset="smmix"))
