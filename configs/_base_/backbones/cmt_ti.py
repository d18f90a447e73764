"""CMT-Ti for 224 px: 9.7 M parameters, 1.29 GMAC (torch's FlopCounterMode); its authors train it with 160 px.

Drop path 0.1, as for DeiT, is this package's choice.
"""

backbone = dict(type="mixpro_bench.CMT", variant="cmt_ti", img_size=224, drop_path_rate=0.1)
pyramid = dict(in_channels=[46, 92, 184, 368], in_strides=[4, 8, 16, 32])
