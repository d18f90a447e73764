"""Built-in digits for pretraining: 4000 + 1000 pictures of 32 pixels, ten classes.

Made by ``mixpro-bench make-data``; another place than data/digits is named by the environment variable MIXPRO_DIGITS.
"""

data_root = "{{$MIXPRO_DIGITS:data/digits}}/v1-seed0/cls"
num_classes = 10

train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type="mixpro_bench.EpochSampler", shuffle=True),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="mixpro_bench.ImageFolder",
        root=data_root,
        split="train",
        transform=dict(type="light", input_size=32, is_training=True, pad=4),
        cache="decoded",
    ),
)
val_dataloader = dict(
    batch_size=200,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="mixpro_bench.ImageFolder",
        root=data_root,
        split="val",
        transform=dict(type="light", input_size=32),
        cache="decoded",
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="mixpro_bench.TopK")
test_evaluator = val_evaluator
