"""Which metric of which evaluator stands in which column, and in which unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

STAGES = ("pretrain", "det", "seg")
# What is asked of weights that are there already: nothing is trained, so that costs and load audits say nothing.
PARTS = (
    "occlusion",
    "shuffle",
    "corruptions",
    "external",
    "adversarial",
    "calibration",
    "knn",
    "linear",
    "fewshot",
    "det-corruptions",
    "seg-corruptions",
)


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
        lower: Whether less is better.
    """

    key: str
    title: str
    stage: str
    raw: str
    scale: float = 1.0
    decimals: int = 1
    detail: int = 0
    lower: bool = False


def _external() -> Iterator[Metric]:
    """Yield the columns of other people's test sets, and of the detection of unknown pictures."""
    sets = {"imagenet_a": "IN-A", "imagenet_r": "IN-R", "imagenet_v2": "IN-V2", "imagenet_sketch": "IN-Sketch"}
    for name, title in {**sets, "objectnet": "ObjectNet"}.items():
        yield Metric(name, f"{title} top-1", "external", f"external/{name}/top1", detail=1)
    for name, title in (("imagenet_o", "IN-O"), ("ood", "unknown")):
        for score, level in (("softmax", 1), ("energy", 2)):
            raw = f"external/{name}/{score}"
            for key, shown, detail in (("auroc", "AUROC", level), ("aupr", "AUPR", 3), ("fpr95", "FPR95", 3)):
                yield Metric(
                    f"{name}_{score}_{key}",
                    f"{title} {shown} ({score})",
                    "external",
                    f"{raw}/{key}",
                    detail=detail,
                    lower=key == "fpr95",
                )


def _attacks() -> Iterator[Metric]:
    """Yield the columns of attacks."""
    for attack in ("fgsm", "pgd"):
        for epsilon in ("0.5", "1", "2", "4", "8"):
            raw = f"adversarial/{attack}/{epsilon}"
            detail = 1 if epsilon == "1" else 3
            yield Metric(f"{attack}_{epsilon}", f"{attack.upper()} {epsilon}/255", "adversarial", raw, detail=detail)


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
    Metric(
        "box_ap_corrupted", "box AP, corrupted", "det-corruptions", "corruptions/mean/coco/bbox_mAP", 100.0, detail=1
    ),
    Metric("box_ap_kept", "box AP kept, %", "det-corruptions", "corruptions/relative/coco/bbox_mAP", detail=2),
    Metric(
        "mask_ap_corrupted", "mask AP, corrupted", "det-corruptions", "corruptions/mean/coco/segm_mAP", 100.0, detail=2
    ),
    Metric("mask_ap_kept", "mask AP kept, %", "det-corruptions", "corruptions/relative/coco/segm_mAP", detail=3),
    Metric("miou_corrupted", "mIoU, corrupted", "seg-corruptions", "corruptions/mean/mIoU", detail=1),
    Metric("miou_kept", "mIoU kept, %", "seg-corruptions", "corruptions/relative/mIoU", detail=2),
    Metric("knn", "k-NN", "knn", "knn/top1", detail=1),
    Metric("linear", "linear probe", "linear", "linear/top1", detail=1),
    *(
        Metric(f"fewshot_{shots}", f"{shots} per class", "fewshot", f"fewshot/{shots}", detail=2 if shots == 5 else 3)
        for shots in (1, 5, 25)
    ),
    Metric("fewshot_vtab1000", "VTAB's 1000", "fewshot", "fewshot/vtab1000", detail=3),
    Metric("occlusion_auc", "occlusion AUC", "occlusion", "occlusion/random/auc", detail=1),
    Metric("occlusion_salient_auc", "salient occlusion AUC", "occlusion", "occlusion/salient/auc", detail=2),
    Metric("occlusion_least_auc", "least salient occlusion AUC", "occlusion", "occlusion/least_salient/auc", detail=3),
    *(
        Metric(
            f"shuffle_{grid}", f"shuffled {grid} x {grid}", "shuffle", f"shuffle/{grid}", detail=1 if grid == 4 else 3
        )
        for grid in (2, 4, 8, 14)
    ),
    Metric("corruption_error", "corruption error", "corruptions", "corruptions/mean", detail=1, lower=True),
    Metric("mce", "mCE", "corruptions", "corruptions/mce", detail=1, lower=True),
    Metric("relative_mce", "relative mCE", "corruptions", "corruptions/relative_mce", detail=2, lower=True),
    Metric("extra_corruption_error", "extra error", "corruptions", "corruptions/extra_mean", detail=3, lower=True),
    *_external(),
    *_attacks(),
    Metric("ece", "ECE", "calibration", "calibration/ece", detail=1, lower=True),
    Metric("nll", "NLL", "calibration", "calibration/nll", decimals=3, detail=1, lower=True),
    Metric("rms", "RMS calibration error", "calibration", "calibration/rms", detail=3, lower=True),
    Metric("brier", "Brier", "calibration", "calibration/brier", decimals=3, detail=3, lower=True),
    Metric("aurra", "AURRA", "calibration", "calibration/aurra", detail=3),
)

# Rows are ordered by the first of these that a table has: the question is what transfers.
RANKING = ("box_ap", "miou", "top1")
