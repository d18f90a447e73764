"""Photographs of at most 240 pixels in ADE20K's layout, cropped to 160; a suite's data settings say which."""

_base_ = "digits_seg.py"

crop = (160, 160)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="mmseg.LoadAnnotations"),
    dict(type="RandomResize", scale=(240, 240), ratio_range=(0.8, 1.5), keep_ratio=True),
    dict(type="mmseg.RandomCrop", crop_size=crop, cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="mmseg.PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(240, 240), keep_ratio=True),
    dict(type="mmseg.LoadAnnotations"),
    dict(type="mmseg.PackSegInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
