"""Protocol in1k-official-tokenmix, version 1: what Sense-X/TokenMix runs, for reproducing its number.

Against in1k-300e: 310 epochs, the last ten at the lowest rate; 5 epochs of warm-up; the rate changes by epoch, one
epoch late, and the cosine begins at epoch 0 with the warm-up laid over it; averaged weights (decay 0.99996) are
evaluated and go downstream. Its authors report the best epoch of raw and averaged weights; here the average of the last
epoch is reported.
Source: Sense-X/TokenMix, main.py (310 epochs by timm's cool-down), exp/deit_small/run.sh.
"""

_base_ = "in1k-300e.py"

bench = dict(protocol="in1k-official-tokenmix", version=1, transfer_weights="ema")
train_cfg = dict(max_epochs=310)
param_scheduler = [
    dict(
        type="mixpro_bench.CosineUnderWarmupLR",
        period=300,
        warmup=5,
        start_factor=1e-3,
        end_factor=0.01,
        by_epoch=True,
        late=1,
    ),
]
custom_hooks = [
    dict(type="mixpro_bench.MixProHook"),
    dict(type="EMAHook", ema_type="ExponentialMovingAverage", momentum=4e-5),
]
