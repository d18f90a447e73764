"""MSG-Transformer."""

from mixpro_bench.systems.model import Number, System, Variant

README = "hustvl/MSG-Transformer README"

SYSTEMS = (
    System(
        name="MSG-Transformer",
        kind="windows, each with a messenger token, shuffled across windows, four stages",
        build=dict(type="mixpro_bench.MSGTransformer"),
        variants=(Variant("msg_tiny", 25_086_116, 3.82),),
        test=dict(variant="msg_test"),
        importance="class_attn",
        attention="row of each window's messenger in the last block",
        channels=(64, 128, 256, 512),
        strides=(4, 8, 16, 32),
        source="hustvl/MSG-Transformer",
        licence="Apache-2.0",
        published=(
            Number("MSG-T", "top1", 82.4, "ImageNet-1k, 224 px", README),
            Number("MSG-T", "box_ap", 51.4, "COCO; head not named, 83 M parameters and 731 GFLOPs", README),
            Number("MSG-T", "mask_ap", 44.6, "COCO; head not named, 83 M parameters and 731 GFLOPs", README),
        ),
        unreached={
            "*.from_messenger": "it moves all products of the messenger alike, and the softmax does not see it",
            "stages.3.blocks.3.bias.table": "it moves attention of patch tokens alone, and of the last block the "
            "classifier sees the messengers",
            "stages.3.blocks.3.to_messenger": "as the table beside it",
        },
        remark="windows come in whole regions: images that are no multiple of 224 px are filled up to the next one",
    ),
)
