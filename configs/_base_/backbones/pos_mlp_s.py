"""PosMLP-S: 36.8 M parameters, 8.58 GMAC for an image of 224 px (torch's FlopCounterMode).

Drop path 0.3 is this package's choice.
"""

backbone = dict(type="mixpro_bench.PosMLP", variant="pos_mlp_s", drop_path_rate=0.3)
pyramid = dict(in_channels=[128, 256, 512, 1024], in_strides=[4, 8, 16, 32])
