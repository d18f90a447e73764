"""MixMIM's pretraining of its tiny encoder on the built-in digits, enlarged to 64 pixels, without labels.

Command: bash tools/pretrain.sh configs/pretrain/digits/mixmim_digits_mixmim.py
"""

_base_ = [
    "../../_base_/datasets/digits_cls.py",
    "../../_base_/models/mixmim.py",
    "../../_base_/schedules/short_cls.py",
    "../../_base_/runtime.py",
]

bench = dict(
    task="pretrain", method="mixmim", preset="mixmim", backbone="mixmim_test", protocol="digits-mim", version=1
)
default_scope = "mixpro_bench"
larger = dict(dataset=dict(transform=dict(input_size=64)))
train_dataloader = larger
val_dataloader = larger
test_dataloader = larger
del larger
val_evaluator = dict(type="mixpro_bench.Reconstruction")
test_evaluator = val_evaluator
model = dict(backbone=dict(type="mixpro_bench.MixMIM", variant="mixmim_test"), width=64, depth=2, heads=4)
