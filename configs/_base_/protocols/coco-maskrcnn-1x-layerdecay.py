"""Protocol coco-maskrcnn-1x-layerdecay, version 1: coco-maskrcnn-1x with learning rates that fall layer by layer.

The last layer of the backbone learns at 0.7 of the rate, the one before at 0.7 squared, down to the stem; heads and
necks at the full rate. Nothing else differs, so the pair of protocols tells what the decay does.
Source of the rate: mmdetection projects/ViTDet/configs/lsj-100e_coco-instance.py (a ViT-B of MAE).
"""

_base_ = "coco-maskrcnn-1x.py"

bench = dict(protocol="coco-maskrcnn-1x-layerdecay", version=1)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.7))
