"""TNT, through timm."""

from mixpro_bench.systems.model import Number, System, Variant

SYSTEMS = (
    System(
        name="TNT",
        kind="plain ViT with a ViT inside every patch",
        build=dict(type="mixpro_bench.TimmBackbone"),
        key="name",
        variants=(Variant("tnt_s_patch16_224", 23_768_584, 5.22, counted="timm 1.0.31, as the authors' code"),),
        more=("tnt_b_patch16_224",),
        test=dict(name="tnt_s_patch16_224", img_size=64, embed_dim=48, inner_dim=12, depth=2, num_heads_outer=3),
        importance="cls",
        attention="class token's row in the last outer attention",
        channels=(384, 384, 384, 384),
        strides=(16, 16, 16, 16),
        source="timm",
        licence="Apache-2.0",
        published=(
            Number("TNT-S", "top1", 81.5, "ImageNet-1k, 224 px", "huawei-noah/Efficient-AI-Backbones README"),
            Number("TNT-B", "top1", 82.9, "ImageNet-1k, 224 px", "huawei-noah/Efficient-AI-Backbones README"),
        ),
    ),
)
