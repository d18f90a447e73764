"""Built-in digits for semantic segmentation: 600 + 150 crowded scenes of 96 pixels in ADE20K's layout, ten classes.

Made by ``mixpro-bench make-data``; another place than data/digits is named by the environment variable MIXPRO_DIGITS.
Background (mask value 0) is unlabelled and ignored, as in ADE20K: the score tells digits apart. With background as a
class, minutes of training end with a model that calls everything background.
"""

dataset_type = "mmseg.BaseSegDataset"
data_root = "{{$MIXPRO_DIGITS:data/digits}}/v1-seed0/seg"
metainfo = dict(
    classes=("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
    palette=[
        [230, 25, 75], [60, 180, 75], [255, 225, 25], [0, 130, 200], [245, 130, 48],
        [145, 30, 180], [70, 240, 240], [240, 50, 230], [210, 245, 60], [0, 128, 128],
    ],
)  # fmt: skip

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="mmseg.LoadAnnotations"),
    dict(type="Resize", scale=(96, 96), keep_ratio=True),
    dict(type="mmseg.PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(96, 96), keep_ratio=True),
    dict(type="mmseg.LoadAnnotations"),
    dict(type="mmseg.PackSegInputs"),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="mixpro_bench.EpochSampler", shuffle=True, infinite=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        img_suffix=".png",
        data_prefix=dict(img_path="images/training", seg_map_path="annotations/training"),
        reduce_zero_label=True,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        img_suffix=".png",
        data_prefix=dict(img_path="images/validation", seg_map_path="annotations/validation"),
        reduce_zero_label=True,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="mmseg.IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
