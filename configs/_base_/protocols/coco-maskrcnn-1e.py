"""Protocol coco-maskrcnn-1e, version 1: coco-maskrcnn-1x cut to its first epoch. For development, not for claims."""

_base_ = "coco-maskrcnn-1x.py"

bench = dict(protocol="coco-maskrcnn-1e", version=1)
train_cfg = dict(max_epochs=1)
param_scheduler = [dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=1000)]
