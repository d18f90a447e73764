"""Protocol in1k-official-mixpro-b, version 1: what fistyee/MixPro runs for DeiT-B.

Against in1k-official-mixpro: 8 processes of 64, and the rate stays 1e-3, because main.py sets it whatever the batch is.
Source: fistyee/MixPro, README.md (batch), main.py (rate).
"""

_base_ = "in1k-official-mixpro.py"

bench = dict(protocol="in1k-official-mixpro-b", version=1)
train_dataloader = dict(batch_size=64)
model = dict(policy=dict(mix_group=64))
auto_scale_lr = dict(base_batch_size=512)
