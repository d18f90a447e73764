"""DeiT-S/16 on ImageNet-1k for 300 epochs with TransMix on half of the steps, Mixup and CutMix on the other half.

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_small_p16_transmix-common.py 8
Cost: not run here. By arithmetic 11 EFLOP: 3 x 2 x 4.60 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none: the mix is MixPro's, and no author but MixPro's runs it.
"""

_base_ = "deit_small_p16_transmix.py"

bench = dict(preset="transmix-common")
model = dict(policy=dict(preset="transmix-common"))
