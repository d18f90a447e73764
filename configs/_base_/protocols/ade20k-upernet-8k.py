"""Protocol ade20k-upernet-8k, version 1: ade20k-upernet-160k cut to 8,000 steps. For development, not for claims."""

_base_ = "ade20k-upernet-160k.py"

bench = dict(protocol="ade20k-upernet-8k", version=1)
train_cfg = dict(max_iters=8000, val_interval=8000)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type="PolyLR", eta_min=0.0, power=1.0, begin=1500, end=8000, by_epoch=False),
]
