"""DeiT-B/16: 86.6 M parameters, 17.56 GMAC for an image of 224 px (timm's model, torch's FlopCounterMode)."""

backbone = dict(type="mixpro_bench.TimmBackbone", name="deit_base_patch16_224", drop_path_rate=0.1)
pyramid = dict(in_channels=[768] * 4, in_strides=[16] * 4)
