"""A ViT for pictures of 64 pixels: patch 8, 128 channels, 4 blocks, 0.8 M parameters."""

backbone = dict(
    type="mixpro_bench.TimmBackbone",
    name="vit_tiny_patch16_224",
    img_size=64,
    patch_size=8,
    embed_dim=128,
    depth=4,
    num_heads=4,
)
pyramid = dict(in_channels=[128] * 4, in_strides=[8] * 4)
