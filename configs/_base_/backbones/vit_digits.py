"""A ViT for pictures of 32 pixels: patch 4, 96 channels, 6 blocks, 0.7 M parameters."""

backbone = dict(
    type="mixpro_bench.TimmBackbone",
    name="vit_tiny_patch16_224",
    img_size=32,
    patch_size=4,
    embed_dim=96,
    depth=6,
    num_heads=3,
    drop_path_rate=0.05,
)
pyramid = dict(in_channels=[96] * 4, in_strides=[4] * 4)
