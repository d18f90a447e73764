"""Hire-MLP-Tiny: 18.0 M parameters, 2.14 GMAC for an image of 224 px (torch's FlopCounterMode).

Without drop path, as its authors train it.
"""

backbone = dict(type="mixpro_bench.HireMLP", variant="hire_mlp_tiny", drop_path_rate=0.0)
pyramid = dict(in_channels=[64, 128, 320, 512], in_strides=[4, 8, 16, 32])
