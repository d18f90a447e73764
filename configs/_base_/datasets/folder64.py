"""Photographs cropped to 64 pixels from an ImageFolder; a suite's data settings say which."""

_base_ = "digits_cls.py"

train_dataloader = dict(
    batch_size=64,
    dataset=dict(
        cache=None,
        transform=dict(_delete_=True, input_size=64, is_training=True, scale=(0.35, 1.0), color_jitter=None),
    ),
)
val_dataloader = dict(
    dataset=dict(cache=None, transform=dict(_delete_=True, input_size=64, is_training=False, crop_pct=1.0)),
)
test_dataloader = val_dataloader
