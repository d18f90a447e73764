"""MixMIM-B's encoder: 87.9 M parameters, 16.32 GMAC for an image of 224 px (torch's FlopCounterMode).

Drop path 0.1, as for DeiT, is this package's choice.
"""

backbone = dict(type="mixpro_bench.MixMIM", variant="mixmim_base", drop_path_rate=0.1)
pyramid = dict(in_channels=[128, 256, 512, 1024], in_strides=[4, 8, 16, 32])
