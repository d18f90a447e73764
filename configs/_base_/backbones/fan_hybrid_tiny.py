"""FAN-T-Hybrid: 7.5 M parameters, 3.64 GMAC for an image of 224 px (torch's FlopCounterMode).

Drop path 0.1, as for DeiT, is this package's choice.
"""

backbone = dict(type="mixpro_bench.FAN", variant="fan_hybrid_tiny", drop_path_rate=0.1)
pyramid = dict(in_channels=[128, 256, 192, 192], in_strides=[4, 8, 16, 16])
