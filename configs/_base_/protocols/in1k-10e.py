"""Protocol in1k-10e, version 1: in1k-300e cut to ten epochs with one of warm-up. For development, not for claims."""

_base_ = "in1k-300e.py"

bench = dict(protocol="in1k-10e", version=1)
train_cfg = dict(max_epochs=10, val_interval=10)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR",
        by_epoch=True,
        begin=1,
        end=10,
        T_max=9,
        eta_min_ratio=0.01,
        convert_to_iter_based=True,
    ),
]
