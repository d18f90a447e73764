"""PVTv2-B1: 14.0 M parameters, 2.11 GMAC for an image of 224 px (timm's model, torch's FlopCounterMode).

Drop path 0.1, as for DeiT, is this package's choice.
"""

backbone = dict(type="mixpro_bench.TimmBackbone", name="pvt_v2_b1", drop_path_rate=0.1)
pyramid = dict(in_channels=[64, 128, 320, 512], in_strides=[4, 8, 16, 32])
