"""OAMixer on ConvMixer-1024/20: 22.7 M parameters, 5.95 GMAC for an image of 224 px (torch's FlopCounterMode).

Damping adds a product of all pairs of patches in every block, 0.07 GMAC each, on mixed images only.
"""

backbone = dict(type="mixpro_bench.OAMixerConv", variant="oamixer_convmixer_1024_20")
pyramid = dict(in_channels=[1024] * 4, in_strides=[14] * 4)
