"""DeiT-S/14: 22.0 M parameters, 6.12 GMAC for an image of 224 px (timm's model, torch's FlopCounterMode).

MixPro's released DeiT has patch 14: 256 tokens instead of 196, so that a mask patch of 56 px is 4 x 4 tokens. It is a
backbone of its own, never ranked with patch 16. For transfer its maps keep stride 14 and the Pyramid resamples them
to 4, 8, 16 and 32; images are padded to multiples of 28, which is whole tokens and whole cells of stride 4. Nothing
of the pretrained weights is changed on the way.
"""

backbone = dict(
    type="mixpro_bench.TimmBackbone",
    name="deit_small_patch16_224",
    img_size=224,
    patch_size=14,
    drop_path_rate=0.1,
)
pyramid = dict(in_channels=[384] * 4, in_strides=[14] * 4)
