"""CMT-S: 26.3 M parameters, 4.03 GMAC for an image of 224 px (torch's FlopCounterMode).

Drop path 0.1, as for DeiT, is this package's choice.
"""

backbone = dict(type="mixpro_bench.CMT", variant="cmt_s", drop_path_rate=0.1)
pyramid = dict(in_channels=[64, 128, 256, 512], in_strides=[4, 8, 16, 32])
