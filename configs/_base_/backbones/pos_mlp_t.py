"""PosMLP-T: 20.9 M parameters, 5.06 GMAC for an image of 224 px (torch's FlopCounterMode).

Drop path 0.2 is this package's choice.
"""

backbone = dict(type="mixpro_bench.PosMLP", variant="pos_mlp_t", drop_path_rate=0.2)
pyramid = dict(in_channels=[96, 192, 384, 768], in_strides=[4, 8, 16, 32])
