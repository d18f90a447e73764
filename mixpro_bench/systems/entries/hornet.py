"""HorNet, with 7 x 7 convolutions and with global filters."""

from typing import Any

from mixpro_bench.systems.model import Number, System, Variant

COMMON: dict[str, Any] = dict(
    build=dict(type="mixpro_bench.HorNet"),
    importance="cam",
    attention="none; class activation map (approximate: the norm behind the pooling enters by its gain only)",
    channels=(64, 128, 256, 512),
    strides=(4, 8, 16, 32),
    source="raoyongming/HorNet",
    licence="MIT",
)
README = "raoyongming/HorNet README"

SYSTEMS = (
    System(
        name="HorNet",
        kind="recursive gated convolutions, four stages",
        variants=(Variant("hornet_tiny", 22_409_512, 3.97),),
        more=("hornet_small", "hornet_base"),
        test=dict(variant="hornet_test"),
        published=(
            Number("HorNet-T 7x7", "top1", 82.8, "ImageNet-1k, 224 px", README),
            Number("HorNet-T 7x7", "box_ap", 51.7, "COCO, Cascade Mask R-CNN, 3x", README),
            Number("HorNet-T 7x7", "mask_ap", 44.8, "COCO, Cascade Mask R-CNN, 3x", README),
            Number("HorNet-T 7x7", "miou", 48.1, "ADE20K, UperNet, 160k steps, one scale", README),
        ),
        **COMMON,
    ),
    System(
        name="HorNet-GF",
        kind="recursive gated convolutions with global filters, four stages",
        variants=(Variant("hornet_tiny_gf", 22_991_848, 3.89),),
        more=("hornet_small_gf", "hornet_base_gf"),
        test=dict(variant="hornet_gf_test"),
        published=(
            Number("HorNet-T GF", "top1", 83.0, "ImageNet-1k, 224 px", README),
            Number("HorNet-T GF", "box_ap", 52.4, "COCO, Cascade Mask R-CNN, 3x", README),
            Number("HorNet-T GF", "mask_ap", 45.6, "COCO, Cascade Mask R-CNN, 3x", README),
            Number("HorNet-T GF", "miou", 49.2, "ADE20K, UperNet, 160k steps, one scale", README),
        ),
        remark="FlopCounterMode does not count Fourier transforms; they run in float32 whatever the precision",
        **COMMON,
    ),
)
