"""DeiT-B/16 on ImageNet-1k for 300 epochs with TokenMix as released (binary cross-entropy to teacher scores).

Needs a teacher's maps of the training pictures, made by `mixpro-bench teacher-maps`; the environment variable
MIXPRO_TEACHER_MAPS names the file.

Command: bash tools/pretrain.sh configs/pretrain/in1k/deit/deit_base_p16_tokenmix.py 8
Cost: not run here. By arithmetic 40 EFLOP: 3 x 2 x 17.56 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: 82.9 % top-1, README of Sense-X/TokenMix; 310 epochs, warm-up of 5, averaged weights, best epoch there.
"""

_base_ = "deit_base_p16_none.py"

bench = dict(method="tokenmix", preset="tokenmix")
model = dict(policy=dict(preset="tokenmix"))
train_dataloader = dict(dataset=dict(teacher_maps="{{$MIXPRO_TEACHER_MAPS:data/imagenet/teacher-maps.safetensors}}"))
