"""CaiT-XXS24: 12.0 M parameters, 2.52 GMAC for an image of 224 px (timm's model, torch's FlopCounterMode).

Drop path 0.1, as for DeiT, is this package's choice.
"""

backbone = dict(type="mixpro_bench.TimmBackbone", name="cait_xxs24_224", drop_path_rate=0.1)
pyramid = dict(in_channels=[192] * 4, in_strides=[16] * 4)
