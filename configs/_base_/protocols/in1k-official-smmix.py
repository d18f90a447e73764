"""Protocol in1k-official-smmix, version 1: what ChenMnZ/SMMix runs, for reproducing its number.

Against in1k-300e: 5 epochs of warm-up; the rate changes by epoch, one epoch late, and the cosine begins at epoch 0 with
the warm-up laid over it; no random erasing. The released code saves an average that it never updates, so there is none.
Its authors report the best epoch; here the last one is reported.
Source: ChenMnZ/SMMix, main.py, script/train.sh and README.md (4 processes of 256).
"""

_base_ = "in1k-300e.py"

bench = dict(protocol="in1k-official-smmix", version=1)
model = dict(policy=dict(mix_group=256))
train_dataloader = dict(batch_size=256, dataset=dict(transform=dict(re_prob=0.0)))
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
