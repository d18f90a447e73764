"""Swin-S: 49.6 M parameters, 8.74 GMAC for an image of 224 px (timm's model, torch's FlopCounterMode)."""

backbone = dict(type="mixpro_bench.TimmBackbone", name="swin_small_patch4_window7_224", drop_path_rate=0.3)
pyramid = dict(in_channels=[96, 192, 384, 768], in_strides=[4, 8, 16, 32])
