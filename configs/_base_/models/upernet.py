"""MMSegmentation's UperNet behind the pyramid, at its own size; a leaf config names backbone and pyramid.

Group norm instead of synchronised batch norm: the same arithmetic with one image per process and with many.
"""

_base_ = "mmseg::_base_/models/upernet_swin.py"

norm_cfg = dict(type="GN", num_groups=32)

model = dict(
    # Logits are stretched over the padded image, which must be whole tokens and whole cells (28 for patch 14).
    data_preprocessor=dict(size_divisor=32, test_cfg=dict(size_divisor=32)),
    neck=dict(type="mixpro_bench.Pyramid", in_channels=None, in_strides=None, out_channels=256),
    decode_head=dict(in_channels=[256] * 4, norm_cfg=norm_cfg),
    auxiliary_head=dict(in_channels=256, norm_cfg=norm_cfg),
)
