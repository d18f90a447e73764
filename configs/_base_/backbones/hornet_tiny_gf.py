"""HorNet-T with global filters: 23.0 M parameters, 3.89 GMAC for an image of 224 px (torch's FlopCounterMode).

The count leaves Fourier transforms out. Drop path 0.2 is this package's choice.
"""

backbone = dict(type="mixpro_bench.HorNet", variant="hornet_tiny_gf", drop_path_rate=0.2)
pyramid = dict(in_channels=[64, 128, 256, 512], in_strides=[4, 8, 16, 32])
