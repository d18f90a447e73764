"""CA-Swin-T: 28.3 M parameters, 4.21 GMAC for an image of 224 px (torch's FlopCounterMode)."""

backbone = dict(type="mixpro_bench.CASwin", variant="ca_swin_tiny", drop_path_rate=0.2)
pyramid = dict(in_channels=[96, 192, 384, 768], in_strides=[4, 8, 16, 32])
