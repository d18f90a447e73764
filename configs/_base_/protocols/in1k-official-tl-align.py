"""Protocol in1k-official-tl-align, version 1: what Euphoria16/TL-Align runs, for reproducing its number.

Against in1k-300e: 5 epochs of warm-up; the rate changes by epoch, one epoch late, and the cosine begins at epoch 0 with
the warm-up laid over it; repeated augmentation, each picture three times in an epoch of a third of them. Its authors
report the best epoch; here the last one is reported.
Source: Euphoria16/TL-Align, main_tla.py, samplers.py.
"""

_base_ = "in1k-300e.py"

bench = dict(protocol="in1k-official-tl-align", version=1)
train_dataloader = dict(sampler=dict(type="mixpro_bench.RepeatedSampler", repeats=3))
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
