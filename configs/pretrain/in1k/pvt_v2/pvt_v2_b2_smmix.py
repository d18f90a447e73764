"""PVTv2-B2 on ImageNet-1k for 300 epochs with SMMix as released.

Code for this backbone was not released: windows are chosen by the mean attention of the last stage.

Command: bash tools/pretrain.sh configs/pretrain/in1k/pvt_v2/pvt_v2_b2_smmix.py 8
Cost: not run here. By arithmetic 11 EFLOP: 3.5 x 2 x 4.03 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that, a second forward pass on half of the steps).
Published: none was seen for this backbone and method.
"""

_base_ = "pvt_v2_b2_none.py"

bench = dict(method="smmix", preset="smmix")
model = dict(policy=dict(preset="smmix"))
