"""COCO 2017 with instance masks, as in mmdet's own 1x configs.

``annotations``, ``train2017`` and ``val2017`` lie under data/coco or where the environment variable MIXPRO_COCO points.
"""

_base_ = "mmdet::_base_/datasets/coco_instance.py"

data_root = "{{$MIXPRO_COCO:data/coco}}/"

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader

val_evaluator = dict(ann_file=data_root + "annotations/instances_val2017.json")
test_evaluator = val_evaluator
