"""RegionViT."""

from mixpro_bench.systems.model import Number, System, Variant

README = "IBM/RegionViT README"

SYSTEMS = (
    System(
        name="RegionViT",
        kind="windows, each with a region token that attends to all others, four stages",
        build=dict(type="mixpro_bench.RegionViT"),
        variants=(Variant("regionvit_tiny", 13_842_676, 2.41), Variant("regionvit_small", 30_586_618)),
        test=dict(variant="regionvit_test"),
        importance="class_attn",
        attention="row of each window's region token in the last block",
        channels=(64, 128, 256, 512),
        strides=(4, 8, 16, 32),
        source="IBM/RegionViT",
        licence="Apache-2.0",
        published=(
            Number("RegionViT-Ti", "top1", 80.4, "ImageNet-1k, 224 px", README),
            Number("RegionViT-S", "top1", 82.6, "ImageNet-1k, 224 px", README),
            Number("RegionViT-S", "box_ap", 42.5, "COCO, Mask R-CNN, 1x", README),
            Number("RegionViT-S", "mask_ap", 39.5, "COCO, Mask R-CNN, 1x", README),
            Number("RegionViT-S", "box_ap", 46.3, "COCO, Mask R-CNN, 3x", README),
            Number("RegionViT-S", "mask_ap", 42.3, "COCO, Mask R-CNN, 3x", README),
        ),
        unreached={
            "stages.3.blocks.1.bias.table": "it moves attention among local tokens alone, and of the last block the "
            "classifier sees the region tokens",
        },
    ),
)
