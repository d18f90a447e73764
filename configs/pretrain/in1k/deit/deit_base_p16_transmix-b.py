"""DeiT-B/16 on ImageNet-1k for 300 epochs with TransMix as its DeiT-B config runs (on 0.8 of the steps).

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_base_p16_transmix-b.py 8
Cost: not run here. By arithmetic 40 EFLOP: 3 x 2 x 17.56 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 82.4 % top-1, issue 14 of Beckschen/TransMix, quoting the paper; 310 epochs, batch 256, warm-up of 5, no
    random erasing, averaged weights, crop 0.9 in TransMix's own config.
"""

_base_ = "deit_base_p16_none.py"

bench = dict(method="transmix", preset="transmix-b")
model = dict(policy=dict(preset="transmix-b"))
