"""Swin-T on ImageNet-1k for 300 epochs with TokenMix on half of the steps, Mixup and CutMix on the other half.

Needs a teacher's maps of the training pictures, made by `mixpro-bench teacher-maps`; the environment variable
MIXPRO_TEACHER_MAPS names the file.
Blocks are whole tokens of the last stage (32 px).

Command: bash tools/pretrain.sh configs/pretrain/in1k/swin/swin_tiny_tokenmix-common.py 8
Cost: not run here. By arithmetic 10 EFLOP: 3 x 2 x 4.49 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none: the mix is MixPro's, and no author but MixPro's runs it.
"""

_base_ = "swin_tiny_tokenmix.py"

bench = dict(preset="tokenmix-common")
model = dict(policy=dict(preset="tokenmix-common", patch=32))
