"""OAMixer on Mixer-S/16: 18.5 M parameters, 3.78 GMAC for an image of 224 px (torch's FlopCounterMode).

Drop path 0.1, as for DeiT, is this package's choice.
"""

backbone = dict(type="mixpro_bench.OAMixerMLP", variant="oamixer_mixer_s16", drop_path_rate=0.1)
pyramid = dict(in_channels=[512] * 4, in_strides=[16] * 4)
