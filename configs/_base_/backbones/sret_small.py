"""SReT-S: 20.9 M parameters, 4.17 GMAC for an image of 224 px (torch's FlopCounterMode).

Drop path 0.1, as for DeiT, is this package's choice.
"""

backbone = dict(type="mixpro_bench.SReT", variant="sret_small", drop_path_rate=0.1)
pyramid = dict(in_channels=[126, 126, 252, 504], in_strides=[8, 8, 16, 32])
