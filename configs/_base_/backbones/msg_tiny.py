"""MSG-Transformer-T: 25.1 M parameters, 3.82 GMAC for an image of 224 px (torch's FlopCounterMode).

Drop path 0.1, as for DeiT, is this package's choice.
"""

backbone = dict(type="mixpro_bench.MSGTransformer", variant="msg_tiny", drop_path_rate=0.1)
pyramid = dict(in_channels=[64, 128, 256, 512], in_strides=[4, 8, 16, 32])
