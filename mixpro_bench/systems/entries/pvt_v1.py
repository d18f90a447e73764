"""PVT of the first version, written here."""

from mixpro_bench.systems.model import Number, System, Variant

IN1K = "ImageNet-1k, 224 px, 300 epochs"

SYSTEMS = (
    System(
        name="PVT",
        kind="attention to reduced keys, four stages, class token in the last",
        build=dict(type="mixpro_bench.PVT"),
        variants=(Variant("pvt_tiny", 13_229_288),),
        more=("pvt_small", "pvt_medium", "pvt_large"),
        test=dict(variant="pvt_test"),
        importance="cls",
        attention="class token's row in the last block; SMMix reads the patch tokens' mean row instead",
        channels=(64, 128, 320, 512),
        strides=(4, 8, 16, 32),
        source="whai362/PVT",
        licence="Apache-2.0",
        published=(
            Number("PVT-T", "top1", 75.1, IN1K, "whai362/PVT README"),
            Number("PVT-S", "top1", 79.8, IN1K, "whai362/PVT README"),
            Number("PVT-M", "top1", 81.2, IN1K, "whai362/PVT README"),
            Number("PVT-L", "top1", 81.7, IN1K, "whai362/PVT README"),
            Number("PVT-T", "box_ap", 36.7, "COCO, Mask R-CNN, 1x", "ma-xu/FCViT README"),
            Number("PVT-T", "mask_ap", 35.1, "COCO, Mask R-CNN, 1x", "ma-xu/FCViT README"),
        ),
    ),
)
