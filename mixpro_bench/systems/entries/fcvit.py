"""FCViT."""

from mixpro_bench.systems.model import Number, System, Variant

README = "ma-xu/FCViT README"

SYSTEMS = (
    System(
        name="FCViT",
        kind="convolutions and a global context per image, four stages",
        build=dict(type="mixpro_bench.FCViT"),
        variants=(Variant("fcvit_tiny", 4_784_752, 0.90), Variant("fcvit_b12", 14_701_832)),
        test=dict(variant="fcvit_test"),
        importance="mean_attn",
        attention="every place's share of the last global context, which is the same for all queries; or class "
        "activation map (exact)",
        channels=(32, 64, 160, 320),
        strides=(4, 8, 16, 32),
        source="ma-xu/FCViT",
        licence="Apache-2.0",
        published=(
            Number("FCViT-tiny", "top1", 74.9, "ImageNet-1k, 224 px", README),
            Number("FCViT-B12", "top1", 80.9, "ImageNet-1k, 224 px", README),
            Number("FCViT-B24", "top1", 82.5, "ImageNet-1k, 224 px", README),
            Number("FCViT-B48", "top1", 83.6, "ImageNet-1k, 224 px", README),
            Number("FCViT-B12", "box_ap", 42.3, "COCO, Mask R-CNN, 1x", README),
            Number("FCViT-B12", "mask_ap", 38.6, "COCO, Mask R-CNN, 1x", README),
            Number("FCViT-B24", "box_ap", 44.1, "COCO, Mask R-CNN, 1x", README),
            Number("FCViT-B24", "mask_ap", 39.9, "COCO, Mask R-CNN, 1x", README),
            Number("FCViT-B12", "miou", 43.3, "ADE20K, Semantic FPN, 40k steps", README),
        ),
        remark="the README counts 4.6 and 14 million parameters, the code slightly more",
    ),
)
