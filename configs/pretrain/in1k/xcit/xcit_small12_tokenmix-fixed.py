"""XCiT-S12/16 on ImageNet-1k for 300 epochs with TokenMix, mended (labels sum to one, cross-entropy).

Needs a teacher's maps of the training pictures, made by `mixpro-bench teacher-maps`; the environment variable
MIXPRO_TEACHER_MAPS names the file.

Command: bash tools/pretrain.sh configs/pretrain/in1k/xcit/xcit_small12_tokenmix-fixed.py 8
Cost: not run here. By arithmetic 11 EFLOP: 3 x 2 x 4.80 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = "xcit_small12_none.py"

bench = dict(method="tokenmix", preset="tokenmix-fixed")
model = dict(policy=dict(preset="tokenmix-fixed"))
train_dataloader = dict(dataset=dict(teacher_maps="{{$MIXPRO_TEACHER_MAPS:data/imagenet/teacher-maps.safetensors}}"))
