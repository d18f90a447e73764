"""Swin, through timm."""

from mixpro_bench.systems.model import Number, System, Variant

SYSTEMS = (
    System(
        name="Swin",
        kind="shifted windows, four stages",
        build=dict(type="mixpro_bench.TimmBackbone"),
        key="name",
        variants=(Variant("swin_tiny_patch4_window7_224", 28_288_354, counted="timm 1.0.31"),),
        more=("swin_small_patch4_window7_224", "swin_base_patch4_window7_224"),
        test=dict(
            name="swin_tiny_patch4_window7_224",
            img_size=64,
            window_size=2,
            embed_dim=24,
            depths=(1, 2, 1, 2),
            num_heads=(1, 2, 3, 4),
        ),
        importance="mean_attn",
        attention="mean over heads and queries of the last stage's one window",
        channels=(96, 192, 384, 768),
        strides=(4, 8, 16, 32),
        source="timm",
        licence="Apache-2.0",
        published=(
            Number("Swin-T", "top1", 81.2, "ImageNet-1k, 224 px, 300 epochs", "Euphoria16/TL-Align README"),
            Number("Swin-T", "top1", 81.18, "ImageNet-1k, 224 px, 300 epochs", "mmpretrain's model zoo"),
            Number("Swin-T", "box_ap", 42.7, "COCO, Mask R-CNN, 1x", "mmdet's model zoo"),
            Number("Swin-T", "mask_ap", 39.3, "COCO, Mask R-CNN, 1x", "mmdet's model zoo"),
            Number("Swin-T", "box_ap", 46.0, "COCO, Mask R-CNN, 3x, several scales and crops", "mmdet's model zoo"),
            Number("Swin-T", "mask_ap", 41.6, "COCO, Mask R-CNN, 3x, several scales and crops", "mmdet's model zoo"),
            Number("Swin-T", "miou", 44.41, "ADE20K, UperNet, 160k steps", "mmseg's model zoo"),
        ),
    ),
)
