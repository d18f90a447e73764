"""FCViT-B12: 14.7 M parameters, 2.65 GMAC for an image of 224 px (torch's FlopCounterMode).

Drop path 0.1 is this package's choice.
"""

backbone = dict(type="mixpro_bench.FCViT", variant="fcvit_b12", drop_path_rate=0.1)
pyramid = dict(in_channels=[64, 128, 320, 512], in_strides=[4, 8, 16, 32])
