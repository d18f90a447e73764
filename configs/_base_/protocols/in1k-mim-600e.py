"""Protocol in1k-mim-600e, version 1: 600 epochs of ImageNet-1k at 224 px without labels, as MixMIM pretrains.

Global batch 2048, here 8 processes of 256; with another batch the learning rate scales linearly. Crops of 20 to 100 %
and mirroring are all the augmentation. What is reported is an error of reconstruction, so that rows of this protocol
compare with no accuracy; what they are worth shows in transfer and in fine-tuning.
Source: Sense-X/MixMIM (length and batch); mmpretrain, configs/mixmim/mixmim_mixmim-base_16xb128-coslr-300e_in1k.py (the
rest, of 300 epochs there).
"""

_base_ = [
    "../datasets/imagenet.py",
    "../models/mixmim.py",
    "../runtime.py",
]

bench = dict(task="pretrain", method="mixmim", preset="mixmim", protocol="in1k-mim-600e", version=1)
default_scope = "mixpro_bench"

train_dataloader = dict(
    batch_size=256,
    dataset=dict(transform=dict(scale=(0.2, 1.0), auto_augment=None, color_jitter=None, re_prob=0.0)),
)
val_evaluator = dict(type="mixpro_bench.Reconstruction")
test_evaluator = val_evaluator
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=600, val_interval=20)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

auto_scale_lr = dict(enable=True, base_batch_size=2048)
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="mixpro_bench.ParamGroups",
    optimizer=dict(type="AdamW", lr=1.2e-3, betas=(0.9, 0.95), weight_decay=0.05),
    clip_grad=None,
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-4, by_epoch=True, begin=0, end=40, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", by_epoch=True, begin=40, end=600, T_max=560, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(interval=1))
