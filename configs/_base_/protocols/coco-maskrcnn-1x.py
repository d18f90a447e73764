"""Protocol coco-maskrcnn-1x, version 1: Mask R-CNN for 12 epochs of COCO 2017, as mmdet trains its own Swin.

Global batch 16, here 8 processes of 2; with another batch the learning rate scales linearly.
Source: mmdet 3.3.0, configs/swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py. What differs: the pyramid between backbone and
FPN, which is the same for all backbones, and no weight decay on any parameter of one dimension (there: on norms,
positions and bias tables by name, so biases decay).
"""

_base_ = [
    "../models/mask-rcnn.py",
    "../datasets/coco_instance.py",
    "../runtime.py",
]

# Method, preset and seed of a transfer are those of its checkpoint.
bench = dict(task="det", method="mixpro", preset="mixpro", protocol="coco-maskrcnn-1x", version=1)
default_scope = "mmdet"

# What stands behind the pyramid of a leaf config.
fpn = dict(type="mmdet.FPN", in_channels=[256] * 4, out_channels=256, num_outs=5)

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=12, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

auto_scale_lr = dict(enable=True, base_batch_size=16)
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="mixpro_bench.ParamGroups",
    optimizer=dict(type="AdamW", lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    clip_grad=None,
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type="MultiStepLR", begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1),
]
default_hooks = dict(checkpoint=dict(interval=1))
