"""MixMIM's encoder in this package's own small size: 28.3 M parameters, 4.89 GMAC for an image of 224 px.

Counted with torch's FlopCounterMode. Drop path 0.1, as for DeiT, is this package's choice.
"""

backbone = dict(type="mixpro_bench.MixMIM", variant="mixmim_tiny", drop_path_rate=0.1)
pyramid = dict(in_channels=[96, 192, 384, 768], in_strides=[4, 8, 16, 32])
