"""DeiT-S/16 under TokenMix's own recipe with TokenMix as released (binary cross-entropy to teacher scores).

Needs a teacher's maps of the training pictures, made by `mixpro-bench teacher-maps`; the environment variable
MIXPRO_TEACHER_MAPS names the file.

Command: bash tools/pretrain.sh configs/pretrain/in1k_official/deit_small_p16_official-tokenmix_tokenmix.py 8
Cost: not run here. By arithmetic 11 EFLOP: 3 x 2 x 4.60 GMAC x 1,281,167 images x 310 epochs (a forward pass, a
    backward pass of twice that).
Published: 80.8 % top-1, README of Sense-X/TokenMix; best epoch of raw and averaged weights there.
"""

_base_ = "deit_small_p16_official-tokenmix_mixup-cutmix.py"

bench = dict(method="tokenmix", preset="tokenmix")
model = dict(policy=dict(preset="tokenmix"))
train_dataloader = dict(dataset=dict(teacher_maps="{{$MIXPRO_TEACHER_MAPS:data/imagenet/teacher-maps.safetensors}}"))
