"""DeiT-S/16 on ImageNet-1k for 300 epochs with TL-Align as released.

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_small_p16_tl-align.py 8
Cost: not run here. By arithmetic 11 EFLOP: 3 x 2 x 4.60 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 80.6 % top-1, README of Euphoria16/TL-Align; warm-up of 5 epochs and repeated augmentation there.
"""

_base_ = "deit_small_p16_none.py"

bench = dict(method="tl-align", preset="tl-align")
model = dict(policy=dict(preset="tl-align"))
