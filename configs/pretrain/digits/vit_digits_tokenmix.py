"""Pretraining on the built-in digits with TokenMix as released, areas in place of a teacher's scores.

No teacher of digits comes with the package: for one, make maps with `mixpro-bench teacher-maps`, name them in
train_dataloader.dataset.teacher_maps, and leave fallback out.

Command: bash tools/pretrain.sh configs/pretrain/digits/vit_digits_tokenmix.py
"""

_base_ = "vit_digits_none.py"

bench = dict(method="tokenmix", preset="tokenmix")
model = dict(policy=dict(preset="tokenmix", fallback="area"))
