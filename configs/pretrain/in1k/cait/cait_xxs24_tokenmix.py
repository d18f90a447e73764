"""CaiT-XXS24 on ImageNet-1k for 300 epochs with TokenMix as released (binary cross-entropy to teacher scores).

Needs a teacher's maps of the training pictures, made by `mixpro-bench teacher-maps`; the environment variable
MIXPRO_TEACHER_MAPS names the file.

Command: bash tools/pretrain.sh configs/pretrain/in1k/cait/cait_xxs24_tokenmix.py 8
Cost: not run here. By arithmetic 5.8 EFLOP: 3 x 2 x 2.52 GMAC x 1,281,167 images x 300 epochs (a forward pass, a
    backward pass of twice that).
Published: none was seen for this backbone and method.
"""

_base_ = "cait_xxs24_none.py"

bench = dict(method="tokenmix", preset="tokenmix")
model = dict(policy=dict(preset="tokenmix"))
train_dataloader = dict(dataset=dict(teacher_maps="{{$MIXPRO_TEACHER_MAPS:data/imagenet/teacher-maps.safetensors}}"))
