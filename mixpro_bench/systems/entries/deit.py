"""DeiT, through timm."""

from mixpro_bench.systems.model import Number, System, Variant

SYSTEMS = (
    System(
        name="DeiT",
        kind="plain ViT",
        build=dict(type="mixpro_bench.TimmBackbone"),
        key="name",
        variants=(Variant("deit_tiny_patch16_224", 5_717_416, counted="timm 1.0.31"),),
        more=("deit_small_patch16_224", "deit_base_patch16_224"),
        test=dict(name="deit_tiny_patch16_224", img_size=64, embed_dim=48, depth=4, num_heads=3),
        importance="cls",
        attention="class token's row in the last block",
        channels=(192, 192, 192, 192),
        strides=(16, 16, 16, 16),
        source="timm",
        licence="Apache-2.0",
        published=(Number("DeiT-T", "top1", 72.2, "ImageNet-1k, 224 px, 300 epochs", "Euphoria16/TL-Align README"),),
    ),
)
