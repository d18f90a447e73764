"""Protocol digits-det, version 1: the short transfer in 100 steps, so that the demo ends within eight minutes."""

_base_ = "short_transfer.py"

max_iters = 100
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=20, end=max_iters, T_max=max_iters - 20, eta_min_ratio=0.01),
]
