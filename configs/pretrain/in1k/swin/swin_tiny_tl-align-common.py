"""Swin-T on ImageNet-1k for 300 epochs with TL-Align on half of the steps, Mixup and CutMix on the other half.

Code for this backbone was not released: how the share passes through its blocks is this package's, and boxes are whole
tokens of the last stage (32 px).

Command: bash tools/pretrain.sh configs/pretrain/in1k/swin/swin_tiny_tl-align-common.py 8
Cost: not run here. By arithmetic 10 EFLOP: 3 x 2 x 4.49 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none: the mix is MixPro's, and no author but MixPro's runs it.
"""

_base_ = "swin_tiny_tl-align.py"

bench = dict(preset="tl-align-common")
model = dict(policy=dict(preset="tl-align-common", patch=32))
