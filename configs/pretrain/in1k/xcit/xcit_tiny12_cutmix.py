"""XCiT-T12/16 on ImageNet-1k for 300 epochs with CutMix.

Command: bash tools/pretrain.sh configs/pretrain/in1k/xcit/xcit_tiny12_cutmix.py 8
Cost: not run here. By arithmetic 2.8 EFLOP: 3 x 2 x 1.23 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = "xcit_tiny12_none.py"

bench = dict(method="cutmix", preset="cutmix")
model = dict(policy=dict(preset="cutmix"))
