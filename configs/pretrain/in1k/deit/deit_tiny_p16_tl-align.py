"""DeiT-T/16 on ImageNet-1k for 300 epochs with TL-Align as released.

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_tiny_p16_tl-align.py 8
Cost: not run here. By arithmetic 2.9 EFLOP: 3 x 2 x 1.25 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 73.2 % top-1, README of Euphoria16/TL-Align; warm-up of 5 epochs and repeated augmentation there.
"""

_base_ = "deit_tiny_p16_none.py"

bench = dict(method="tl-align", preset="tl-align")
model = dict(policy=dict(preset="tl-align"))
