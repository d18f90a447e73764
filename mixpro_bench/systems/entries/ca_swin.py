"""CA-Swin, written here."""

from mixpro_bench.systems.model import Number, System, Variant

SYSTEMS = (
    System(
        name="CA-Swin",
        kind="shifted windows, four stages, class attention at the end",
        build=dict(type="mixpro_bench.CASwin"),
        variants=(
            Variant("ca_swin_tiny", 28_285_066, counted="Swin-T as timm counts it, less one bias table, plus CLS"),
        ),
        test=dict(variant="ca_swin_test"),
        importance="class_attn",
        attention="class token's row in the class attention that stands for the last block",
        channels=(96, 192, 384, 768),
        strides=(4, 8, 16, 32),
        source="TransMix, arXiv 2111.09833, section 4.5; no code was released",
        licence="none needed; the window blocks are timm's, Apache-2.0",
        published=(
            Number(
                "Swin-T with TransMix",
                "top1",
                81.8,
                "ImageNet-1k, 224 px, 300 epochs, TransMix",
                "Westlake-AI/openmixup",
            ),
        ),
        remark="this package's reading of what the paper says in a few sentences",
    ),
)
