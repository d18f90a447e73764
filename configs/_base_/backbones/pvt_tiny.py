"""PVT-T: 13.2 M parameters, 1.93 GMAC for an image of 224 px (torch's FlopCounterMode)."""

backbone = dict(type="mixpro_bench.PVT", variant="pvt_tiny", drop_path_rate=0.1)
pyramid = dict(in_channels=[64, 128, 320, 512], in_strides=[4, 8, 16, 32])
