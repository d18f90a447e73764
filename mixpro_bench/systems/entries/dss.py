"""Dynamic Spatial Sparsification, on DeiT and on Swin."""

from typing import Any

from mixpro_bench.systems.model import Number, System, Variant

README = "raoyongming/DynamicViT README"
RECIPE = "ImageNet-1k, 224 px, from pretrained weights and with a teacher"
COMMON: dict[str, Any] = dict(source="raoyongming/DynamicViT", licence="MIT")
REMARK = "distillation only where a teacher is given, and from random weights unless a checkpoint is"

COUNTED = "the authors' code; their table of multiplications, rounded down,"

SYSTEMS = (
    System(
        name="DSS-DeiT",
        kind="DeiT that drops patches after a quarter, a half and three quarters of its blocks",
        build=dict(type="mixpro_bench.DSSDeiT"),
        variants=(
            Variant("dss_deit_tiny", 5_899_582, counted="timm 1.0.31's DeiT-T and three predictors"),
            Variant("dss_deit_256", 10_304_942, counted=f"{COUNTED} says 1.3 G"),
            Variant("dss_deit_small", 22_774_414, counted=f"{COUNTED} says 2.9 G"),
        ),
        more=("dss_deit_base",),
        test=dict(variant="dss_deit_test"),
        importance="cls",
        attention="class token's row in the last block, in which dropped patches have no weight",
        channels=(192, 192, 192, 192),
        strides=(16, 16, 16, 16),
        published=(
            Number("DeiT-256/0.7", "top1", 76.53, RECIPE, README),
            Number("DeiT-S/0.7", "top1", 79.32, RECIPE, README),
        ),
        remark=f"{REMARK}. In maps a dropped patch stays what it was when it was dropped; predictors do not learn in "
        "transfer. dss_deit_tiny is this package's size",
        **COMMON,
    ),
    System(
        name="DSS-Swin",
        kind="Swin whose third stage has a fast path for places that say little",
        build=dict(type="mixpro_bench.DSSSwin"),
        variants=(
            Variant("dss_swin_tiny", 29_755_144, 4.0, counted="the authors' code; multiplications: their table"),
        ),
        more=("dss_swin_small", "dss_swin_base"),
        test=dict(variant="dss_swin_test"),
        importance="mean_attn",
        attention="mean over heads and queries of the last stage's one window",
        channels=(96, 192, 384, 768),
        strides=(4, 8, 16, 32),
        published=(Number("Swin-T/0.7", "top1", 80.91, RECIPE, README),),
        remark=f"{REMARK}. The fast path adds to its input, and every predictor decides anew: this package's reading",
        **COMMON,
    ),
)
