"""SReT-T: 4.8 M parameters, 1.11 GMAC for an image of 224 px (torch's FlopCounterMode).

Drop path 0.1, as for DeiT, is this package's choice.
"""

backbone = dict(type="mixpro_bench.SReT", variant="sret_tiny", drop_path_rate=0.1)
pyramid = dict(in_channels=[64, 64, 128, 256], in_strides=[8, 8, 16, 32])
