"""RegionViT-S: 30.6 M parameters, 5.34 GMAC for an image of 224 px (torch's FlopCounterMode).

Drop path 0.1, as for DeiT, is this package's choice.
"""

backbone = dict(type="mixpro_bench.RegionViT", variant="regionvit_small", drop_path_rate=0.1)
pyramid = dict(in_channels=[96, 192, 384, 768], in_strides=[4, 8, 16, 32])
