"""PosMLP."""

from mixpro_bench.systems.model import Number, System, Variant

README = "Zhicaiwww/PosMLP README"

SYSTEMS = (
    System(
        name="PosMLP",
        kind="gated perceptrons with Gaussians of the distance in windows, four stages",
        build=dict(type="mixpro_bench.PosMLP"),
        variants=(
            Variant(
                "pos_mlp_t",
                20_925_538,
                5.056,
                counted="the authors' code; multiplications without the 0.12 that make its Gaussians pair by pair",
            ),
            Variant("pos_mlp_s", 36_816_450),
        ),
        test=dict(variant="pos_mlp_test"),
        importance="cam",
        attention="none; class activation map (exact: the norm stands before pooling)",
        channels=(96, 192, 384, 768),
        strides=(4, 8, 16, 32),
        source="Zhicaiwww/PosMLP",
        licence="MIT",
        published=(
            Number("PosMLP-T", "top1", 82.1, "ImageNet-1k, 224 px", README),
            Number("PosMLP-S", "top1", 83.0, "ImageNet-1k, 224 px", README),
            Number("PosMLP-B", "top1", 83.6, "ImageNet-1k, 224 px", README),
        ),
    ),
)
