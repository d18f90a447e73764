"""PVTv2-B1 on ImageNet-1k for 300 epochs with TransMix as its DeiT-S config runs.

Code for this backbone was not released: importance is the mean attention of the last stage.

Command: bash tools/pretrain.sh configs/pretrain/in1k/pvt_v2/pvt_v2_b1_transmix.py 8
Cost: not run here. By arithmetic 4.9 EFLOP: 3 x 2 x 2.11 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = "pvt_v2_b1_none.py"

bench = dict(method="transmix", preset="transmix")
model = dict(policy=dict(preset="transmix"))
