"""Protocol ade20k-upernet-160k, version 1: UperNet for 160,000 steps of ADE20K, as mmseg trains its own Swin.

Global batch 16, here 8 processes of 2; with another batch the learning rate scales linearly.
Source: mmsegmentation 1.2.2, configs/swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py. What
differs: the pyramid between backbone and head, which is the same for all backbones, group norm instead of synchronised
batch norm in the heads, images padded to multiples of 32 in evaluation, and no weight decay on any parameter of one
dimension.
"""

_base_ = [
    "../models/upernet.py",
    "../datasets/ade20k.py",
    "../runtime.py",
]

# Method, preset and seed of a transfer are those of its checkpoint.
bench = dict(task="seg", method="mixpro", preset="mixpro", protocol="ade20k-upernet-160k", version=1)
default_scope = "mmseg"

model = dict(
    data_preprocessor=dict(size=(512, 512), size_divisor=None),
    decode_head=dict(num_classes=150),
    auxiliary_head=dict(num_classes=150),
)
train_dataloader = dict(batch_size=2)

train_cfg = dict(type="IterBasedTrainLoop", max_iters=160000, val_interval=16000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

auto_scale_lr = dict(enable=True, base_batch_size=16)
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="mixpro_bench.ParamGroups",
    optimizer=dict(type="AdamW", lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
    clip_grad=None,
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type="PolyLR", eta_min=0.0, power=1.0, begin=1500, end=160000, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=4000))
