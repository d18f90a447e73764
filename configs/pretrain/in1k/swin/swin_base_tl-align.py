"""Swin-B on ImageNet-1k for 300 epochs with TL-Align as released.

Code for this backbone was not released: how the share passes through its blocks is this package's, and boxes are whole
tokens of the last stage (32 px).

Command: bash tools/pretrain.sh configs/pretrain/in1k/swin/swin_base_tl-align.py 8
Cost: not run here. By arithmetic 36 EFLOP: 3 x 2 x 15.43 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 83.7 % top-1, README of Euphoria16/TL-Align; its code for Swin is not released.
"""

_base_ = "swin_base_none.py"

bench = dict(method="tl-align", preset="tl-align")
model = dict(policy=dict(preset="tl-align", patch=32))
