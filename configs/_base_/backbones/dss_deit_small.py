"""Dynamic Spatial Sparsification on DeiT-S/16: 22.8 M parameters, 2.98 GMAC for an image of 224 px.

As torch's FlopCounterMode counts. Without a teacher; see dss_deit_tiny.py.
"""

backbone = dict(type="mixpro_bench.DSSDeiT", variant="dss_deit_small", drop_path_rate=0.1)
pyramid = dict(in_channels=[384] * 4, in_strides=[16] * 4)
