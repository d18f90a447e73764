"""Dynamic Spatial Sparsification on DeiT-T/16: 5.9 M parameters, 0.80 GMAC for an image of 224 px.

As torch's FlopCounterMode counts; 1.29 GMAC in training, where all patches stay. A share of 0.7 of the patches is kept
three times over, as published for larger DeiTs. Without a teacher: backbone.teacher names one, timm's DeiT-T and a
checkpoint of it.
"""

backbone = dict(type="mixpro_bench.DSSDeiT", variant="dss_deit_tiny", drop_path_rate=0.1)
pyramid = dict(in_channels=[192] * 4, in_strides=[16] * 4)
