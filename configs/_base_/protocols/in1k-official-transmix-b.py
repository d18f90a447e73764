"""Protocol in1k-official-transmix-b, version 1: what Beckschen/TransMix runs for DeiT-B.

Against in1k-official-transmix: weight decay 0.05 and 5 epochs of warm-up.
Source: Beckschen/TransMix, configs/deit_b_transmix.yaml.
"""

_base_ = "in1k-official-transmix.py"

bench = dict(protocol="in1k-official-transmix-b", version=1)
optim_wrapper = dict(optimizer=dict(weight_decay=0.05))
param_scheduler = [
    dict(
        type="mixpro_bench.CosineUnderWarmupLR",
        period=300,
        warmup=5,
        start_factor=1e-3,
        end_factor=0.01,
        by_epoch=True,
    ),
]
