"""FAN, with a plain stem and with two stages of ConvNeXt before."""

from mixpro_bench.systems.model import Number, System, Variant

SOURCE = "NVlabs/FAN (described, not read)"
LICENCE = "NVIDIA Source Code License, non-commercial: neither code nor weights are used"
UNREACHED = {
    "*.k.bias": "a key's bias moves all products of a query alike, and the softmax does not see it",
    "*.channel.q.bias": "it moves a channel alike in all tokens, and the softmax over the tokens does not see it",
}

SYSTEMS = (
    System(
        name="FAN-ViT",
        kind="plain ViT, attention between channels in place of the MLP",
        build=dict(type="mixpro_bench.FAN"),
        variants=(
            Variant("fan_vit_tiny", 7_319_920, 1.475, counted="the authors' code; multiplications: a closed form"),
            Variant("fan_vit_small", 28_345_336),
        ),
        test=dict(variant="fan_vit_test"),
        importance="class_attn",
        attention="class token's row in the last class-attention layer",
        channels=(192, 192, 192, 192),
        strides=(16, 16, 16, 16),
        source=SOURCE,
        licence=LICENCE,
        published=(
            Number("FAN-T-ViT", "top1", 79.2, "ImageNet-1k, 224 px", "NVlabs/FAN README"),
            Number("FAN-S-ViT", "top1", 82.5, "ImageNet-1k, 224 px", "NVlabs/FAN README"),
        ),
        unreached=UNREACHED,
        remark="the authors' code counts 1.56 GMAC, which agrees with one more product of attention and values in each "
        "block",
    ),
    System(
        name="FAN-Hybrid",
        kind="two stages of ConvNeXt, then FAN",
        build=dict(type="mixpro_bench.FAN"),
        variants=(Variant("fan_hybrid_tiny", 7_467_240),),
        test=dict(variant="fan_hybrid_test"),
        importance="class_attn",
        attention="class token's row in the last class-attention layer",
        channels=(128, 256, 192, 192),
        strides=(4, 8, 16, 16),
        source=SOURCE,
        licence=LICENCE,
        published=(
            Number("FAN-T-Hybrid", "top1", 80.1, "ImageNet-1k, 224 px", "NVlabs/FAN README"),
            Number("FAN-T-Hybrid", "box_ap", 50.2, "COCO, Cascade Mask R-CNN, 3x", "NVlabs/FAN README"),
            Number("FAN-T-Hybrid", "miou", 81.2, "Cityscapes", "NVlabs/FAN README"),
        ),
        unreached=UNREACHED,
    ),
)
