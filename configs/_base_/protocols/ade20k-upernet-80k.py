"""Protocol ade20k-upernet-80k, version 1: ade20k-upernet-160k half as long.

Source: mmsegmentation 1.2.2, configs/vit/vit_vit-b16_mln_upernet_8xb2-80k_ade20k-512x512.py; differences as for
ade20k-upernet-160k.
"""

_base_ = "ade20k-upernet-160k.py"

bench = dict(protocol="ade20k-upernet-80k", version=1)
train_cfg = dict(max_iters=80000, val_interval=8000)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type="PolyLR", eta_min=0.0, power=1.0, begin=1500, end=80000, by_epoch=False),
]
