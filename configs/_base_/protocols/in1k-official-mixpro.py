"""Protocol in1k-official-mixpro, version 1: what fistyee/MixPro runs for DeiT-T and DeiT-S, for reproducing its number.

Against in1k-300e: the cosine begins at step 0 with the warm-up laid over it. The released clipping never acts (it comes
after the step), so there is none. Its authors report the best epoch; here the last one is reported.
Source: fistyee/MixPro, config.py, main.py, README.md. The backbone there has patch 14 and mask cells of 56 pixels.
"""

_base_ = "in1k-300e.py"

bench = dict(protocol="in1k-official-mixpro", version=1)
param_scheduler = [
    dict(
        type="mixpro_bench.CosineUnderWarmupLR",
        period=300,
        warmup=20,
        start_factor=1e-3,
        end_factor=0.01,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
