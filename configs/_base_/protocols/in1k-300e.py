"""Protocol in1k-300e, version 1: 300 epochs of ImageNet-1k at 224 px, everything but backbone and method.

Global batch 1024, here 8 processes of 128; with another batch the learning rate scales linearly, and the rates at the
start of the warm-up and at the end of the cosine with it (they are factors of it). 128 images share lambda and partners
however many processes there are, so 1, 2, 4 or 8 of them train alike. The cosine begins after the warm-up.
No repeated augmentation, no averaged weights, no clipping, for any backbone. The last epoch is the one reported.
Source: fistyee/MixPro, config.py and main.py; where that differs from DeiT (20 epochs of warm-up instead of 5).
"""

_base_ = [
    "../models/classifier.py",
    "../datasets/imagenet.py",
    "../runtime.py",
]

bench = dict(task="pretrain", method="none", preset="none", protocol="in1k-300e", version=1)
default_scope = "mixpro_bench"

train_dataloader = dict(batch_size=128)
model = dict(policy=dict(mix_group=128))
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=300, val_interval=10)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

auto_scale_lr = dict(enable=True, base_batch_size=1024)
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="mixpro_bench.ParamGroups",
    optimizer=dict(type="AdamW", lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05),
    clip_grad=None,
)
param_scheduler = [
    # From 1e-6 to 1e-3, and back to 1e-5, step by step.
    dict(type="LinearLR", start_factor=1e-3, by_epoch=True, begin=0, end=20, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR",
        by_epoch=True,
        begin=20,
        end=300,
        T_max=280,
        eta_min_ratio=0.01,
        convert_to_iter_based=True,
    ),
]
default_hooks = dict(checkpoint=dict(interval=1))
