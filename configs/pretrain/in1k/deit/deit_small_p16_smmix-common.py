"""DeiT-S/16 on ImageNet-1k for 300 epochs with SMMix on half of the steps, Mixup and CutMix on the other half.

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_small_p16_smmix-common.py 8
Cost: not run here. By arithmetic 12 EFLOP: 3.5 x 2 x 4.60 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that, a second forward pass on half of the steps).
Published: none: the mix is MixPro's, and no author but MixPro's runs it.
"""

_base_ = "deit_small_p16_smmix.py"

bench = dict(preset="smmix-common")
model = dict(policy=dict(preset="smmix-common"))
