"""CaiT, through timm."""

from mixpro_bench.systems.model import System, Variant

SYSTEMS = (
    System(
        name="CaiT",
        kind="plain ViT with class attention",
        build=dict(type="mixpro_bench.TimmBackbone"),
        key="name",
        variants=(Variant("cait_xxs24_224", 11_956_264, counted="timm 1.0.31"),),
        test=dict(name="cait_xxs24_224", img_size=64, embed_dim=48, depth=2, num_heads=2, init_values=0.1),
        importance="class_attn",
        attention="class token's row in the last class-attention layer",
        channels=(192, 192, 192, 192),
        strides=(16, 16, 16, 16),
        source="timm",
        licence="Apache-2.0",
        unreached={
            "*.k.bias": "a key's bias moves all products of a query alike, and the softmax does not see it",
        },
        remark="its attention talks across heads, so it cannot be fused: quadratic memory in the number of tokens",
    ),
)
