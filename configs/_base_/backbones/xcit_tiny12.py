"""XCiT-T12/16: 6.7 M parameters, 1.23 GMAC for an image of 224 px (timm's model, torch's FlopCounterMode).

Drop path 0.1, as for DeiT, is this package's choice.
"""

backbone = dict(type="mixpro_bench.TimmBackbone", name="xcit_tiny_12_p16_224", drop_path_rate=0.1)
pyramid = dict(in_channels=[192] * 4, in_strides=[16] * 4)
