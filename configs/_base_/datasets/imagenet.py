"""ImageNet-1k (or any set in its layout) with DeiT's augmentation at 224 pixels.

``train`` and ``val``, each a folder with one folder per class or one zip, lie under data/imagenet or where the
environment variable MIXPRO_IMAGENET points. Source of the augmentation: H. Touvron et al., DeiT, table 9 and main.py;
repeated augmentation is not used.
"""

data_root = "{{$MIXPRO_IMAGENET:data/imagenet}}"
num_classes = 1000

train_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type="mixpro_bench.EpochSampler", shuffle=True),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="mixpro_bench.ImageFolder",
        root=data_root,
        split="train",
        transform=dict(
            input_size=224,
            is_training=True,
            interpolation="bicubic",
            auto_augment="rand-m9-mstd0.5-inc1",
            color_jitter=0.3,
            re_prob=0.25,
            re_mode="pixel",
            re_count=1,
        ),
    ),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="mixpro_bench.ImageFolder",
        root=data_root,
        split="val",
        transform=dict(input_size=224, is_training=False, interpolation="bicubic", crop_pct=0.875),
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="mixpro_bench.TopK")
test_evaluator = val_evaluator
