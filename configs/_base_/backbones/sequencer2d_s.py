"""Sequencer2D-S: 27.7 M parameters, 8.33 GMAC for an image of 224 px (timm's model, torch's FlopCounterMode).

Drop path 0.1, as for DeiT, is this package's choice.
"""

backbone = dict(type="mixpro_bench.TimmBackbone", name="sequencer2d_s", drop_path_rate=0.1)
pyramid = dict(in_channels=[192, 384, 384, 384], in_strides=[7, 14, 14, 14])
