"""TNT-S: 23.8 M parameters, 5.22 GMAC for an image of 224 px (timm's model, torch's FlopCounterMode).

Drop path 0.1, as for DeiT, is this package's choice.
"""

backbone = dict(type="mixpro_bench.TimmBackbone", name="tnt_s_patch16_224", drop_path_rate=0.1)
pyramid = dict(in_channels=[384] * 4, in_strides=[16] * 4)
