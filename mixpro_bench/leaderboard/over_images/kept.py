"""Finding the predictions that a run kept and the truth they are measured by, from its Record and its config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.diff import CONFIG_NAME, read_config
from mixpro_bench.leaderboard.over_images.detection import NAMES, DetectionMatches
from mixpro_bench.leaderboard.over_images.segmentation import SegmentationCounts
from mixpro_bench.leaderboard.record import Record

DEFAULT_NAME = "predictions"
KINDS = ("bbox", "segm")
# Metric by the evaluator's name -> how far predictions may be from the Record: it holds three digits of AP, and
# percents with two behind the point that were summed up in single precision.
TOLERANCE = {f"coco/{kind}_{name}": 0.00051 for kind in KINDS for name in NAMES}
TOLERANCE |= {"mIoU": 0.02, "mAcc": 0.02, "aAcc": 0.02}


class Measured(Protocol):
    """What is known of each image: enough for the metrics of any images."""

    images: tuple[Any, ...]

    def metrics(self, weights: np.ndarray) -> dict[str, float]:
        """Return the metrics with each image counted so many times."""
        ...


def load_kept(record: Record, folder: Path) -> Measured | None:
    """Return what a run kept of each image, None if it kept no predictions.

    Looked for are the predictions that the Record names, else ``predictions`` beside it, where
    ``mixpro-bench evaluate RUN --dump RUN/predictions`` puts them.

    Args:
        record: Record of a detection or a segmentation.
        folder: Where it lies, with the run's config.

    Raises:
        UserError: If something cannot be read, or the predictions do not give the Record's metrics.
    """
    named = folder / (record.predictions or DEFAULT_NAME)
    measured: Measured
    if record.stage == "det":
        results = {kind: path for kind in KINDS if (path := _with_kind(named, kind)).is_file()}
        if not results:
            _complain(record, named)
            return None
        config = _config(folder)
        annotations = _value(config, "val_evaluator.ann_file", "val_evaluator.0.ann_file", where=folder)
        classes = config.get("val_dataloader.dataset.metainfo.classes")
        measured = DetectionMatches(Path(annotations), results, classes)
    elif record.stage == "seg":
        if not named.is_dir() or not any(named.glob("*.png")):
            _complain(record, named)
            return None
        config = _config(folder)
        root = config.get("val_dataloader.dataset.data_root") or ""
        masks = Path(root, _value(config, "val_dataloader.dataset.data_prefix.seg_map_path", where=folder))
        classes = _value(config, "model.decode_head.num_classes", where=folder)
        of_ade = str(config.get("val_dataloader.dataset.type", "")).rsplit(".", 1)[-1] == "ADE20KDataset"
        reduced = config.get("val_dataloader.dataset.reduce_zero_label", of_ade)
        measured = SegmentationCounts(named, masks, int(classes), bool(reduced))
    else:
        return None
    _check(measured, record, named)
    return measured


def _with_kind(path: Path, kind: str) -> Path:
    """Return the results file of one kind; a Record may name the beginning of the names or one of the files."""
    name = path.name
    for other in KINDS:
        name = name.removesuffix(f".{other}.json")
    return path.with_name(f"{name}.{kind}.json")


def _complain(record: Record, named: Path) -> None:
    """Refuse a Record whose predictions have gone; one that never had any is left in peace."""
    if record.predictions is not None:
        raise UserError(f"the Record names predictions at {named}, but there are none")


def _config(folder: Path) -> Mapping[str, Any]:
    path = folder / CONFIG_NAME
    if not path.is_file():
        found = sorted(folder.glob("*.py"))
        if len(found) != 1:
            raise UserError(f"{folder} holds no {CONFIG_NAME}, so it is not known what its predictions are measured by")
        path = found[0]
    return read_config(path)


def _value(config: Mapping[str, Any], *keys: str, where: Path) -> Any:
    for key in keys:
        if config.get(key) is not None:
            return config[key]
    raise UserError(f"the config in {where} has no {keys[0]}, so it is not known what its predictions are measured by")


def _check(measured: Measured, record: Record, named: Path) -> None:
    """Refuse predictions that are of another checkpoint than the Record: all images must give its metrics."""
    found = measured.metrics(np.ones(len(measured.images)))
    for key, value in found.items():
        told = record.metrics.get(key)
        # -1 is COCO's for a metric without an object, NaN ours.
        if told is None or (told < 0 and np.isnan(value)):
            continue
        if not abs(told - value) <= TOLERANCE[key]:
            raise UserError(
                f"the predictions at {named} give {key} {value:.6g}, the Record {told:.6g}: they are not of the "
                "checkpoint it was made of; make them again with 'mixpro-bench evaluate RUN --dump'"
            )
