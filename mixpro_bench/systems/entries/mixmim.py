"""MixMIM's encoder."""

from mixpro_bench.systems.model import Number, System, Variant

README = "Sense-X/MixMIM README"
COUNTED = "the authors' code, less 401,408 fixed positions, which are computed here"

SYSTEMS = (
    System(
        name="MixMIM",
        kind="large windows that do not shift, four stages",
        build=dict(type="mixpro_bench.MixMIM"),
        variants=(Variant("mixmim_base", 87_942_944, 16.32, counted=COUNTED),),
        more=("mixmim_tiny",),
        test=dict(variant="mixmim_test"),
        importance="mean_attn",
        attention="mean over heads and queries of the last stage's one window",
        channels=(128, 256, 512, 1024),
        strides=(4, 8, 16, 32),
        source="Sense-X/MixMIM",
        licence="none given: described, not read",
        published=(
            Number("MixMIM-B", "top1", 85.1, "ImageNet-1k, 224 px, 600 epochs of its own pretraining first", README),
            Number("MixMIM-B", "top1", 86.3, "ImageNet-1k, 384 px, 600 epochs of its own pretraining first", README),
            Number(
                "MixMIM-B",
                "top1",
                84.63,
                "ImageNet-1k, 224 px, 300 epochs of its own pretraining first",
                "mmpretrain's model zoo",
            ),
        ),
        remark="mixmim_tiny is this package's size, about Swin-T's; none was published",
    ),
)
