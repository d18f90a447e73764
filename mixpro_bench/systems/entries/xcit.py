"""XCiT, through timm."""

from mixpro_bench.systems.model import Number, System, Variant

SYSTEMS = (
    System(
        name="XCiT",
        kind="attention between channels, then class attention",
        build=dict(type="mixpro_bench.TimmBackbone"),
        key="name",
        variants=(
            Variant("xcit_nano_12_p16_224", 3_053_224, counted="timm 1.0.31"),
            Variant("xcit_tiny_12_p16_224", 6_716_272, counted="timm 1.0.31"),
        ),
        more=("xcit_small_12_p16_224",),
        test=dict(name="xcit_nano_12_p16_224", img_size=64, embed_dim=64, depth=4, num_heads=4),
        importance="class_attn",
        attention="class token's row in the last class-attention layer; attention between channels weighs no tokens",
        channels=(128, 128, 128, 128),
        strides=(16, 16, 16, 16),
        source="timm",
        licence="Apache-2.0",
        published=(
            Number("XCiT-N12/16", "top1", 70.35, "ImageNet-1k, 224 px", "mmpretrain's model zoo"),
            Number("XCiT-T12/16", "top1", 77.21, "ImageNet-1k, 224 px", "mmpretrain's model zoo"),
        ),
        unreached={
            "*.cls_attn_blocks.*.k.bias": "a key's bias moves all products of a query alike, and the softmax does not "
            "see it",
        },
    ),
)
