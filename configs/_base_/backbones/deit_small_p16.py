"""DeiT-S/16: 22.1 M parameters, 4.60 GMAC for an image of 224 px (timm's model, torch's FlopCounterMode)."""

backbone = dict(type="mixpro_bench.TimmBackbone", name="deit_small_patch16_224", drop_path_rate=0.1)
pyramid = dict(in_channels=[384] * 4, in_strides=[16] * 4)
