"""Hire-MLP."""

from mixpro_bench.systems.model import Number, System, Variant

README = "ggjy/Hire-Wave-MLP.pytorch README"
ABSTRACT = "abstract of arXiv:2108.13341"

SYSTEMS = (
    System(
        name="Hire-MLP",
        kind="perceptrons over shifted regions of rows and columns, four stages",
        build=dict(type="mixpro_bench.HireMLP"),
        variants=(Variant("hire_mlp_tiny", 18_041_672, 2.14),),
        more=("hire_mlp_small", "hire_mlp_base", "hire_mlp_large"),
        test=dict(variant="hire_mlp_test"),
        importance="cam",
        attention="none; class activation map (exact: the norm stands before pooling)",
        channels=(64, 128, 320, 512),
        strides=(4, 8, 16, 32),
        source="ggjy/Hire-Wave-MLP.pytorch",
        licence="MIT, by a badge in its README only",
        published=(
            Number("Hire-MLP-Tiny", "top1", 79.7, "ImageNet-1k, 224 px, 300 epochs", README),
            Number("Hire-MLP-Small", "top1", 82.1, "ImageNet-1k, 224 px", README),
            Number("Hire-MLP-Base", "top1", 83.2, "ImageNet-1k, 224 px", README),
            Number("Hire-MLP-Large", "top1", 83.8, "ImageNet-1k, 224 px", README),
            Number("best of the family", "box_ap", 51.7, "COCO; head and schedule are not told", ABSTRACT),
            Number("best of the family", "mask_ap", 44.8, "COCO; head and schedule are not told", ABSTRACT),
            Number("best of the family", "miou", 49.9, "ADE20K; head and schedule are not told", ABSTRACT),
        ),
    ),
)
