"""Which metric of which evaluator stands in which column, and in which unit."""

from __future__ import annotations

from dataclasses import dataclass

STAGES = ("pretrain", "det", "seg")


@dataclass(frozen=True)
class Metric:
    """One column of numbers.

    Attributes:
        key: Name of the column in files.
        title: Head of the column for people.
        stage: Stage of the Records it comes from.
        raw: The evaluator's name of it.
        scale: Factor from the evaluator's unit to the one shown.
        decimals: Digits shown behind the point.
        detail: 0 is always shown; columns of the highest level are the first to go where there is little room.
    """

    key: str
    title: str
    stage: str
    raw: str
    scale: float = 1.0
    decimals: int = 1
    detail: int = 0


# pretraining and mmseg report percent, mmdet's CocoMetric fractions; all are shown in percent.
METRICS = (
    Metric("top1", "top-1", "pretrain", "top1"),
    Metric("top5", "top-5", "pretrain", "top5", detail=2),
    Metric("box_ap", "box AP", "det", "coco/bbox_mAP", 100.0),
    Metric("box_ap50", "AP50", "det", "coco/bbox_mAP_50", 100.0, detail=1),
    Metric("box_ap75", "AP75", "det", "coco/bbox_mAP_75", 100.0, detail=2),
    Metric("box_ap_s", "AP small", "det", "coco/bbox_mAP_s", 100.0, detail=3),
    Metric("box_ap_m", "AP medium", "det", "coco/bbox_mAP_m", 100.0, detail=3),
    Metric("box_ap_l", "AP large", "det", "coco/bbox_mAP_l", 100.0, detail=3),
    Metric("mask_ap", "mask AP", "det", "coco/segm_mAP", 100.0, detail=1),
    Metric("mask_ap50", "mask AP50", "det", "coco/segm_mAP_50", 100.0, detail=2),
    Metric("mask_ap75", "mask AP75", "det", "coco/segm_mAP_75", 100.0, detail=2),
    Metric("miou", "mIoU", "seg", "mIoU"),
    Metric("macc", "mAcc", "seg", "mAcc", detail=2),
    Metric("aacc", "aAcc", "seg", "aAcc", detail=2),
)

# Rows are ordered by the first of these that a table has: the question is what transfers.
RANKING = ("box_ap", "miou", "top1")
