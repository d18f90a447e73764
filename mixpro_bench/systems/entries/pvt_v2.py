"""PVT v2, through timm."""

from mixpro_bench.systems.model import Number, System, Variant

SYSTEMS = (
    System(
        name="PVT v2",
        kind="attention to reduced keys, four stages",
        build=dict(type="mixpro_bench.TimmBackbone"),
        key="name",
        variants=(Variant("pvt_v2_b0", 3_666_760, counted="timm 1.0.31"),),
        more=("pvt_v2_b1", "pvt_v2_b2"),
        test=dict(
            name="pvt_v2_b0",
            depths=(1, 1, 1, 2),
            embed_dims=(16, 24, 32, 48),
            num_heads=(1, 1, 2, 4),
            sr_ratios=(4, 2, 2, 1),
        ),
        importance="mean_attn",
        attention="mean over heads and queries of the last stage, which reduces no keys",
        channels=(32, 64, 160, 256),
        strides=(4, 8, 16, 32),
        source="timm",
        licence="Apache-2.0",
        published=(Number("PVTv2-B0", "box_ap", 37.1, "COCO, RetinaNet", "mmdet's model zoo"),),
    ),
)
