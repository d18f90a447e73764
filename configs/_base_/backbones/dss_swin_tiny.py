"""Dynamic Spatial Sparsification on Swin-T: 29.8 M parameters, 4.04 GMAC for an image of 224 px.

As torch's FlopCounterMode counts; 4.78 GMAC in training, where places of the third stage take both paths. Drop path 0.2
as for Swin-T. Without a teacher: backbone.teacher names one, timm's Swin-T and a checkpoint of it.
"""

backbone = dict(type="mixpro_bench.DSSSwin", variant="dss_swin_tiny", drop_path_rate=0.2)
pyramid = dict(in_channels=[96, 192, 384, 768], in_strides=[4, 8, 16, 32])
