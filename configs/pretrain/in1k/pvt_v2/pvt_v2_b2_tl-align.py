"""PVTv2-B2 on ImageNet-1k for 300 epochs with TL-Align as released.

Code for this backbone was not released: how the share passes through its blocks is this package's, and boxes are whole
tokens of the last stage (32 px).

Command: bash tools/pretrain.sh configs/pretrain/in1k/pvt_v2/pvt_v2_b2_tl-align.py 8
Cost: not run here. By arithmetic 9.3 EFLOP: 3 x 2 x 4.03 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = "pvt_v2_b2_none.py"

bench = dict(method="tl-align", preset="tl-align")
model = dict(policy=dict(preset="tl-align", patch=32))
