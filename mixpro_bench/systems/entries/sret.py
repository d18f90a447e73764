"""SReT."""

from mixpro_bench.systems.model import Number, System, Variant

README = "szq0214/SReT README"

SYSTEMS = (
    System(
        name="SReT",
        kind="transformer blocks run twice with the same weights, attention in slices, three stages",
        build=dict(type="mixpro_bench.SReT"),
        variants=(
            Variant("sret_tiny", 4_755_979, 1.11),
            Variant("sret_small", 20_899_692, 4.17, counted="the authors' code; multiplications: their table, 4.2 G"),
        ),
        test=dict(variant="sret_test"),
        importance="mean_attn",
        attention="mean over heads and queries of the last block, which attends to all tokens",
        channels=(64, 64, 128, 256),
        strides=(8, 8, 16, 32),
        source="szq0214/SReT",
        licence="MIT",
        published=(
            Number("SReT-T", "top1", 76.0, "ImageNet-1k, 224 px", README),
            Number("SReT-S", "top1", 81.9, "ImageNet-1k, 224 px", README),
        ),
        unreached={
            "stem.[036].bias": "it moves a channel alike everywhere, and the batch norm behind it takes that away",
        },
        remark="no map of stride 4: the pyramid makes it from stride 8; in evaluation the order of shuffled tokens is "
        "fixed, where the authors' code draws it",
    ),
)
