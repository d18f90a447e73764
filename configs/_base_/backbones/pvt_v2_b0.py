"""PVTv2-B0: 3.7 M parameters, 0.57 GMAC for an image of 224 px (timm's model, torch's FlopCounterMode).

Drop path 0.1, as for DeiT, is this package's choice.
"""

backbone = dict(type="mixpro_bench.TimmBackbone", name="pvt_v2_b0", drop_path_rate=0.1)
pyramid = dict(in_channels=[32, 64, 160, 256], in_strides=[4, 8, 16, 32])
