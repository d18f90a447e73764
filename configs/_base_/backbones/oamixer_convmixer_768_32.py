"""OAMixer on ConvMixer-768/32: 19.9 M parameters, 20.68 GMAC for an image of 224 px (torch's FlopCounterMode).

Damping adds a product of all pairs of patches in every block, 0.8 GMAC each, on mixed images only.
"""

backbone = dict(type="mixpro_bench.OAMixerConv", variant="oamixer_convmixer_768_32", drop_path_rate=0.0)
pyramid = dict(in_channels=[768] * 4, in_strides=[7] * 4)
