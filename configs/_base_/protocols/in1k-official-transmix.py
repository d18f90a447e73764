"""Protocol in1k-official-transmix, version 1: what Beckschen/TransMix runs for DeiT-S, for reproducing its number.

Against in1k-300e: 310 epochs, the last ten at the lowest rate; global batch 256 at the same rate of 1e-3; weight decay
0.03; the rate changes by epoch, and the cosine begins at epoch 0 with the warm-up laid over it; no random erasing; the
crops are resampled at random by bilinear or bicubic interpolation; averaged weights (decay 0.99996) are evaluated and
go downstream; evaluation at crop 0.9. Its authors report the best epoch; here the last one is reported.
Source: Beckschen/TransMix, train.py (310 epochs by timm's cool-down), configs/deit_s_transmix.yaml, whose first version
has a global batch of 1024.
"""

_base_ = "in1k-300e.py"

bench = dict(protocol="in1k-official-transmix", version=1, transfer_weights="ema")
model = dict(policy=dict(mix_group=32))
train_dataloader = dict(batch_size=32, dataset=dict(transform=dict(interpolation="random", re_prob=0.0)))
val_dataloader = dict(dataset=dict(transform=dict(crop_pct=0.9)))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=310)
auto_scale_lr = dict(base_batch_size=256)
optim_wrapper = dict(optimizer=dict(weight_decay=0.03))
param_scheduler = [
    dict(
        type="mixpro_bench.CosineUnderWarmupLR",
        period=300,
        warmup=20,
        start_factor=1e-3,
        end_factor=0.01,
        by_epoch=True,
    ),
]
custom_hooks = [
    dict(type="mixpro_bench.MixProHook"),
    dict(type="EMAHook", ema_type="ExponentialMovingAverage", momentum=4e-5),
]
