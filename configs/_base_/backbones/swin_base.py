"""Swin-B: 87.8 M parameters, 15.43 GMAC for an image of 224 px (timm's model, torch's FlopCounterMode)."""

backbone = dict(type="mixpro_bench.TimmBackbone", name="swin_base_patch4_window7_224", drop_path_rate=0.5)
pyramid = dict(in_channels=[128, 256, 512, 1024], in_strides=[4, 8, 16, 32])
