"""The command that checks the data of a config, and whether it has been called."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixpro_bench.datasets.check.outcome import recall
from mixpro_bench.datasets.settings import inner_dataset

# Task -> (layout, classes it has in the published protocols).
LAYOUTS = {"pretrain": ("imagenet", 1000), "det": ("coco", 80), "seg": ("ade20k", 150)}
COCO_ANNOTATIONS = "annotations/instances_{}2017.json"


def open_check(cfg: Mapping[str, Any], task: str) -> str | None:
    """Say which ``check-data`` command is still to be called for the data of a resolved config.

    Args:
        cfg: Resolved config.
        task: 'pretrain', 'det' or 'seg'.

    Returns:
        A sentence with the command; None where the data passed their check, are the built-in ones, or are of no layout
        that ``check-data`` knows.
    """
    sets = {split: inner_dataset((cfg.get(f"{split}_dataloader") or {}).get("dataset")) for split in ("train", "val")}
    train, val = sets["train"], sets["val"]
    if task not in LAYOUTS or not isinstance(train, Mapping) or not isinstance(val, Mapping):
        return None
    root = Path(str(train.get("data_root") or train.get("root") or ""))
    if not root.name or (root.parent / "manifest.json").is_file():  # built-in data come with a manifest
        return None
    options = {"pretrain": _imagenet, "det": _coco, "seg": _ade20k}[task](root, train, val)
    layout, usual = LAYOUTS[task]
    classes = len(train.get("classes") or (train.get("metainfo") or {}).get("classes") or ()) or usual
    merged = task == "det" and not _own_file(root, train)  # then the file's own categories are others
    if classes != usual and not merged:
        options += ["--classes", str(classes)]
    command = shlex.join(["mixpro-bench", "check-data", layout, str(root), *options])
    if not root.is_dir():
        return f"{task}: check the data once they are there: {command}"
    outcome = recall(root)
    if outcome == "passed":
        return None
    return (
        f"{task}: the data {'failed their check' if outcome else 'were not checked, or have changed since'}: {command}"
    )


def _imagenet(root: Path, train: Mapping[str, Any], val: Mapping[str, Any]) -> list[str]:
    return _unless("--train", train.get("split"), "train") + _unless("--val", val.get("split"), "val")


def _coco(root: Path, train: Mapping[str, Any], val: Mapping[str, Any]) -> list[str]:
    words = []
    for split, dataset in (("train", train), ("val", val)):
        words += _unless(f"--{split}", _prefix(dataset, "img"), f"{split}2017")
        # One made from a file of the set lies elsewhere; the check finds that file by itself.
        words += _unless(f"--{split}-ann", _own_file(root, dataset), COCO_ANNOTATIONS.format(split))
    return words


def _own_file(root: Path, dataset: Mapping[str, Any]) -> str | None:
    """Return the annotation file relative to the data's root; None if it lies elsewhere."""
    path = root / str(dataset.get("ann_file") or "")
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None


def _ade20k(root: Path, train: Mapping[str, Any], val: Mapping[str, Any]) -> list[str]:
    words = []
    for split, dataset, usual in (("train", train, "training"), ("val", val, "validation")):
        words += _unless(f"--{split}", _prefix(dataset, "img_path").removeprefix("images/"), usual)
    # ADE20KDataset itself leaves out label 0.
    if not train.get("reduce_zero_label", str(train.get("type", "")).endswith("ADE20KDataset")):
        words.append("--keep-zero-label")
    return words


def _prefix(dataset: Mapping[str, Any], key: str) -> str:
    return str((dataset.get("data_prefix") or {}).get(key) or "").strip("/")


def _unless(option: str, value: str | None, usual: str) -> list[str]:
    return [option, value] if value and value != usual else []
