"""FAN-T-ViT: 7.3 M parameters, 1.47 GMAC for an image of 224 px (torch's FlopCounterMode).

Drop path 0.1, as for DeiT, is this package's choice.
"""

backbone = dict(type="mixpro_bench.FAN", variant="fan_vit_tiny", drop_path_rate=0.1)
pyramid = dict(in_channels=[192, 192, 192, 192], in_strides=[16, 16, 16, 16])
