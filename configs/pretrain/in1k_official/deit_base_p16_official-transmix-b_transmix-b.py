"""DeiT-B/16 under TransMix's own recipe for it with TransMix as its DeiT-B config runs (on 0.8 of the steps).

Command: bash tools/pretrain.sh configs/pretrain/in1k_official/deit_base_p16_official-transmix-b_transmix-b.py 8
Cost: not run here. By arithmetic 42 EFLOP: 3 x 2 x 17.56 GMAC x 1,281,167 images x 310 epochs (a forward pass, a
    backward pass of twice that).
Published: 82.4 % top-1, issue 14 of Beckschen/TransMix, quoting the paper; 78.6 % is what a user
    got there before this config was released.
"""

_base_ = "deit_base_p16_official-transmix-b_mixup-cutmix.py"

bench = dict(method="transmix", preset="transmix-b")
model = dict(policy=dict(preset="transmix-b"))
