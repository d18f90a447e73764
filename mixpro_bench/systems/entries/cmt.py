"""CMT."""

from mixpro_bench.systems.model import Number, System, Variant

README = "ggjy/CMT.pytorch README"
CONSTANT = "it moves a channel alike everywhere, and the batch norm behind it takes that away"

SYSTEMS = (
    System(
        name="CMT",
        kind="convolutions within transformer blocks, attention to reduced keys, four stages",
        build=dict(type="mixpro_bench.CMT"),
        variants=(
            Variant("cmt_ti", 9_492_426, 0.64, img_size=160),
            Variant("cmt_xs", 15_379_808),
            Variant("cmt_s", 26_256_160),
        ),
        test=dict(variant="cmt_test"),
        importance="mean_attn",
        attention="mean over heads and queries of the last stage, which reduces no keys",
        channels=(46, 92, 184, 368),
        strides=(4, 8, 16, 32),
        source="ggjy/CMT.pytorch",
        licence="MIT by a badge of its README",
        published=(
            Number("CMT-Ti", "top1", 79.0, "ImageNet-1k, 160 px, 800 epochs", README),
            Number("CMT-XS", "top1", 81.8, "ImageNet-1k, 192 px", README),
            Number("CMT-S", "top1", 83.5, "ImageNet-1k, 224 px", README),
        ),
        unreached={
            "*.attn.k.bias": "a key's bias moves all products of a query alike, and the softmax does not see it",
            "*.attn.reduce.0.bias": CONSTANT,
            "*.mlp.middle.1.bias": CONSTANT,
            "*.mlp.leave.0.bias": CONSTANT,
            "widen.0.bias": CONSTANT,
        },
        remark="a learned table of every query and key per stage, resampled for other image sizes; 9,705,546 "
        "parameters and 1.29 GMAC at 224 px",
    ),
)
