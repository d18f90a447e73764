"""The protocols of transfer: Mask R-CNN on COCO 2017, UperNet on ADE20K."""

from __future__ import annotations

from typing import Any

from mixpro_bench.protocols.protocol import OWN_DROP_PATH, Protocol, adamw, add, epochs, scaled


def _coco(
    name: str,
    count: int,
    steps: list[int],
    source: str,
    pipeline: list[Any],
    claims: bool = True,
    layer_decay: float | None = None,
) -> Protocol:
    warmup = dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=1000)
    drops = dict(type="MultiStepLR", begin=0, end=count, by_epoch=True, milestones=steps, gamma=0.1)
    return Protocol(
        name,
        1,
        "det",
        16,
        {
            **epochs(count),
            **adamw(1e-4, 0.05, layer_decay),
            **scaled(16),
            "param_scheduler": [warmup, drops] if steps else [warmup],
            "train_dataloader.dataset.filter_cfg": dict(filter_empty_gt=True, min_size=32),
            "train_dataloader.dataset.pipeline": pipeline,
            "val_dataloader.dataset.pipeline.1": dict(type="Resize", scale=(1333, 800), keep_ratio=True),
            "model.roi_head.bbox_head.num_classes": 80,
            "model.roi_head.mask_head.num_classes": 80,
        },
        source,
        {**OWN_DROP_PATH, "swin_tiny": 0.2, "swin_small": 0.2, "swin_base": 0.2},
        0.1,
        claims,
    )


def _coco_pipeline(*augmentations: dict[str, Any]) -> list[Any]:
    load = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", with_bbox=True, with_mask=True)]
    return [*load, *augmentations, dict(type="PackDetInputs")]


def _ade20k(name: str, steps: int, source: str, claims: bool = True, layer_decay: float | None = None) -> Protocol:
    return Protocol(
        name,
        1,
        "seg",
        16,
        {
            "train_cfg.type": "IterBasedTrainLoop",
            "train_cfg.max_iters": steps,
            **adamw(6e-5, 0.01, layer_decay),
            **scaled(16),
            "param_scheduler": [
                dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=1500),
                dict(type="PolyLR", eta_min=0.0, power=1.0, begin=1500, end=steps, by_epoch=False),
            ],
            "train_dataloader.dataset.pipeline": [
                dict(type="LoadImageFromFile"),
                dict(type="LoadAnnotations", reduce_zero_label=True),
                dict(type="RandomResize", scale=(2048, 512), ratio_range=(0.5, 2.0), keep_ratio=True),
                dict(type="RandomCrop", crop_size=(512, 512), cat_max_ratio=0.75),
                dict(type="RandomFlip", prob=0.5),
                dict(type="PhotoMetricDistortion"),
                dict(type="PackSegInputs"),
            ],
            "val_dataloader.dataset.pipeline.1": dict(type="Resize", scale=(2048, 512), keep_ratio=True),
            "model.decode_head.num_classes": 150,
            "model.auxiliary_head.num_classes": 150,
            "model.test_cfg.mode": "whole",
        },
        source,
        {**OWN_DROP_PATH, "swin_tiny": 0.3, "swin_small": 0.3, "swin_base": 0.3},
        0.1,
        claims,
    )


_FLIP = dict(type="RandomFlip", prob=0.5)
_1X = _coco_pipeline(dict(type="Resize", scale=(1333, 800), keep_ratio=True), _FLIP)
_SIDES = dict(type="RandomChoiceResize", scales=[(side, 1333) for side in range(480, 801, 32)], keep_ratio=True)
_3X = _coco_pipeline(
    _FLIP,
    dict(
        type="RandomChoice",
        transforms=[
            [_SIDES],
            [
                dict(type="RandomChoiceResize", scales=[(400, 1333), (500, 1333), (600, 1333)], keep_ratio=True),
                dict(type="RandomCrop", crop_type="absolute_range", crop_size=(384, 600), allow_negative_crop=True),
                _SIDES,
            ],
        ],
    ),
)
_MMDET = "mmdet 3.3.0 configs/swin/mask-rcnn_swin-t-p4-w7_fpn_"
_MMSEG = "mmsegmentation 1.2.2 configs/"

add(_coco("coco-maskrcnn-1x", 12, [8, 11], f"{_MMDET}1x_coco.py", _1X))
add(_coco("coco-maskrcnn-3x", 36, [27, 33], f"{_MMDET}ms-crop-3x_coco.py", _3X))
add(_coco("coco-maskrcnn-1e", 1, [], "coco-maskrcnn-1x, its first epoch", _1X, claims=False))
add(
    _ade20k(
        "ade20k-upernet-160k",
        160000,
        f"{_MMSEG}swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py",
    )
)
add(_ade20k("ade20k-upernet-80k", 80000, f"{_MMSEG}vit/vit_vit-b16_mln_upernet_8xb2-80k_ade20k-512x512.py"))
add(_ade20k("ade20k-upernet-8k", 8000, "ade20k-upernet-160k, shorter", claims=False))
# Layer-wise decay is usual where a plain ViT is fine-tuned; nothing else differs, so the two tell what it does.
add(
    _coco(
        "coco-maskrcnn-1x-layerdecay",
        12,
        [8, 11],
        "coco-maskrcnn-1x; the rate 0.7 of mmdetection projects/ViTDet/configs/lsj-100e_coco-instance.py",
        _1X,
        layer_decay=0.7,
    )
)
add(
    _ade20k(
        "ade20k-upernet-160k-layerdecay",
        160000,
        f"ade20k-upernet-160k; the rate 0.9 of {_MMSEG}beit/beit-base_upernet_8xb2-160k_ade20k-640x640.py",
        layer_decay=0.9,
    )
)
