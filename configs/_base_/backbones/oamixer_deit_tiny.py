"""OAMixer on DeiT-T/16: 5.7 M parameters, 1.25 GMAC for an image of 224 px (torch's FlopCounterMode)."""

backbone = dict(type="mixpro_bench.OAMixerDeiT", variant="oamixer_deit_tiny", drop_path_rate=0.1)
pyramid = dict(in_channels=[192] * 4, in_strides=[16] * 4)
