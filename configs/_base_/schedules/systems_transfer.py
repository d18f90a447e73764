"""Protocols systems-det and systems-seg, version 1: the short transfer in 50 steps, to see that a system trains."""

_base_ = "short_transfer.py"

max_iters = 50
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=10),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=10, end=max_iters, T_max=max_iters - 10, eta_min_ratio=0.01),
]
