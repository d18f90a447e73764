"""FCViT-tiny: 4.8 M parameters, 0.90 GMAC for an image of 224 px (torch's FlopCounterMode).

Drop path 0.1 is this package's choice.
"""

backbone = dict(type="mixpro_bench.FCViT", variant="fcvit_tiny", drop_path_rate=0.1)
pyramid = dict(in_channels=[32, 64, 160, 320], in_strides=[4, 8, 16, 32])
