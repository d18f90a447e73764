"""The data of a suite are settings: a few lines that name anybody's set are put into a resolved config.

Settings, with roots absolute or relative to the environment variable MIXPRO_DATA_ROOT::

    data = dict(
        pretrain=dict(root="imagenette128", train="train", val="val"),
        det=dict(
            root="coco_subset",
            train=dict(ann="annotations/instances_train.json", images="train"),
            val=dict(ann="annotations/instances_val.json", images="val"),
            merge="supercategory",  # left out: the categories of the files
        ),
        seg=dict(
            root="camvid",
            train=("images/training", "annotations/training"),
            val=("images/validation", "annotations/validation"),
            classes="classes.txt",  # or the names themselves
            reduce_zero_label=True,
        ),
    )

Each function takes one of the three and returns a changed copy of the config.
"""

from __future__ import annotations

import colorsys
import copy
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mixpro_bench.datasets.ade import ClassFile, check_masks, check_values, image_suffix, read_class_file
from mixpro_bench.datasets.archive import class_folders
from mixpro_bench.datasets.coco import merged_file, read_categories
from mixpro_bench.errors import UserError

ROOT_VARIABLE = "MIXPRO_DATA_ROOT"

# Loader -> (split of the settings, evaluator).
_LOADERS = {
    "train_dataloader": ("train", None),
    "val_dataloader": ("val", "val_evaluator"),
    "test_dataloader": ("val", "test_evaluator"),
}


def resolve_root(root: str | Path) -> Path:
    """Return the folder of a set: absolute, or under MIXPRO_DATA_ROOT.

    Raises:
        UserError: The root is relative and MIXPRO_DATA_ROOT is not set, or there is no such folder.
    """
    path = Path(root).expanduser()
    if not path.is_absolute():
        base = os.environ.get(ROOT_VARIABLE)
        if not base:
            raise UserError(
                f"the data root '{root}' is relative and {ROOT_VARIABLE} is not set: set it to the folder that holds "
                f"'{root}', or give an absolute root"
            )
        path = (Path(base).expanduser() / path).resolve()
    if not path.is_dir():
        raise UserError(f"the data folder '{path}' does not exist: correct 'root' in the suite or {ROOT_VARIABLE}")
    return path


def palette(classes: int) -> list[list[int]]:
    """Return one colour a class, far from its neighbours: RGB in 0..255, the same at every call."""
    golden = 0.618033988749895
    hls = [((number * golden) % 1, (0.5, 0.35, 0.65)[number % 3], 0.85) for number in range(classes)]
    return [[round(255 * channel) for channel in colorsys.hls_to_rgb(*one)] for one in hls]


def use_classification(cfg: Config, data: Mapping[str, Any]) -> Config:
    """Point a pretraining config to another ImageFolder; see the head of this file.

    Sets root, split and classes of the loaders and every ``num_classes`` of the model.

    Raises:
        UserError: A key of ``data`` is unknown or lacking, a split is missing, the splits differ in classes.
    """
    _check_keys("pretrain", data, needed=("root", "train", "val"), optional=("cache",))
    cfg, root = copy.deepcopy(cfg), resolve_root(data["root"])
    classes = class_folders(root, data["train"])
    held_out = class_folders(root, data["val"])
    if held_out != classes:
        odd = sorted(set(classes) ^ set(held_out))
        raise UserError(f"the splits '{data['train']}' and '{data['val']}' of '{root}' differ in the classes {odd[:5]}")
    for split, dataset, _ in _datasets(cfg):
        dataset.update(type="mixpro_bench.ImageFolder", root=str(root), split=data[split], classes=list(classes))
        if "cache" in data:
            dataset["cache"] = data["cache"]
        else:
            dataset.pop("cache", None)
    _set_num_classes(cfg, len(classes), heads_only=False)
    return cfg


def use_detection(cfg: Config, data: Mapping[str, Any], cache_dir: str | Path) -> Config:
    """Point a detection config to another COCO-format set; see the head of this file.

    Sets paths and classes of the loaders, the evaluators' annotation file and ``num_classes`` of the heads. Merged
    annotation files are written under ``cache_dir``.

    Raises:
        UserError: A key of ``data`` is unknown or lacking, a file or folder is missing or not in COCO's format, the
            categories of the two files differ.
    """
    _check_keys("det", data, needed=("root", "train", "val"), optional=("merge",))
    for split in ("train", "val"):
        _check_keys(f"det.{split}", data[split], needed=("ann", "images"), optional=())
    cfg, root = copy.deepcopy(cfg), resolve_root(data["root"])
    files = {split: root / data[split]["ann"] for split in ("train", "val")}
    if data.get("merge"):
        files = {split: merged_file(path, cache_dir, data["merge"]) for split, path in files.items()}
    classes, held_out = read_categories(files["train"]), read_categories(files["val"])
    if classes != held_out:
        raise UserError(
            f"'{data['train']['ann']}' and '{data['val']['ann']}' of '{root}' do not list the same categories in the "
            "same order: labels would not mean the same in both"
        )
    for split, dataset, evaluators in _datasets(cfg):
        images = root / data[split]["images"]
        if not images.is_dir() or not any(images.iterdir()):
            raise UserError(f"the folder '{images}' is missing or empty: correct data.det.{split}.images")
        if not str(dataset.get("type", "")).endswith("CocoDataset"):
            dataset["type"] = "mmdet.CocoDataset"
        dataset.update(data_root=str(root), ann_file=str(files[split].resolve()))
        _replace(dataset, "data_prefix", {"img": data[split]["images"]})
        _replace(dataset, "metainfo", {"classes": list(classes), "palette": palette(len(classes))})
        for evaluator in evaluators:
            if str(evaluator.get("type", "")).endswith("CocoMetric"):
                evaluator["ann_file"] = str(files[split].resolve())
    _set_num_classes(cfg, len(classes), heads_only=True)
    return cfg


def use_segmentation(cfg: Config, data: Mapping[str, Any]) -> Config:
    """Point a segmentation config to another set in ADE20K's layout; see the head of this file.

    Sets type (`mmseg.BaseSegDataset`), paths, suffixes, classes and ``reduce_zero_label`` of the loaders and
    ``num_classes`` of the heads.

    Raises:
        UserError: A key of ``data`` is unknown or lacking, a folder is missing or empty, a picture has no mask, the
            class file and the masks do not fit each other.
    """
    _check_keys("seg", data, needed=("root", "train", "val", "classes"), optional=("reduce_zero_label",))
    cfg, root = copy.deepcopy(cfg), resolve_root(data["root"])
    reduce_zero_label = bool(data.get("reduce_zero_label", False))
    if isinstance(data["classes"], str):
        classes = read_class_file(root / data["classes"])
        check_values(classes, reduce_zero_label, root / data["classes"])
    else:
        classes = ClassFile(tuple(data["classes"]), None)
    suffixes = {}
    for split in ("train", "val"):
        images, masks = data[split]
        suffixes[split] = image_suffix(root / images, root / masks)
        check_masks(root / masks, len(classes.names), reduce_zero_label)
    for split, dataset, _ in _datasets(cfg):
        images, masks = data[split]
        dataset.pop("ann_file", None)
        dataset.update(
            type="mmseg.BaseSegDataset",
            data_root=str(root),
            img_suffix=suffixes[split],
            seg_map_suffix=".png",
            reduce_zero_label=reduce_zero_label,
        )
        _replace(dataset, "data_prefix", {"img_path": images, "seg_map_path": masks})
        names = list(classes.names)
        _replace(dataset, "metainfo", {"classes": names, "palette": palette(len(names))})
        for step in dataset.get("pipeline", []):
            # Left out, the transform takes the dataset's, which is what mmseg asks for; two that differ are an error.
            if str(step.get("type", "")).endswith("LoadAnnotations"):
                step.pop("reduce_zero_label", None)
    _set_num_classes(cfg, len(classes.names), heads_only=True)
    return cfg


def inner_dataset(dataset: Any) -> Any:
    """Return the dataset config inside wrappers such as RepeatDataset."""
    while isinstance(dataset, dict) and isinstance(dataset.get("dataset"), dict):
        dataset = dataset["dataset"]
    return dataset


def _datasets(cfg: Config) -> Iterator[tuple[str, Any, list[Any]]]:
    """Yield (split of the settings, dataset config, its evaluators) for the loaders that the config has."""
    for name, (split, evaluator) in _LOADERS.items():
        if cfg.get(name):
            found = cfg.get(evaluator) if evaluator else None
            evaluators = found if isinstance(found, list) else [found] if found else []
            yield split, inner_dataset(cfg[name]["dataset"]), evaluators


def _replace(node: Any, key: str, value: dict[str, Any]) -> None:
    """Set a dict as a whole: keys of the old one do not live on."""
    node.pop(key, None)
    node[key] = value


def _set_num_classes(cfg: Config, classes: int, *, heads_only: bool) -> None:
    """Set ``num_classes`` in the model: everywhere it occurs, or in the heads that tell classes apart."""

    def visit(node: Any, inside: bool) -> None:
        if isinstance(node, dict):
            if inside and "num_classes" in node:
                node["num_classes"] = classes
            for key, value in node.items():
                head = key in ("bbox_head", "mask_head", "decode_head", "auxiliary_head")
                if head and heads_only:
                    for one in value if isinstance(value, (list, tuple)) else [value]:
                        if isinstance(one, dict):
                            one["num_classes"] = classes
                visit(value, inside or head)
        elif isinstance(node, (list, tuple)):
            for one in node:
                visit(one, inside)

    visit(cfg["model"], not heads_only)
    if "num_classes" in cfg:
        cfg["num_classes"] = classes


def _check_keys(where: str, data: Mapping[str, Any], needed: tuple[str, ...], optional: tuple[str, ...]) -> None:
    """Refuse settings with a key too many or too few."""
    if not isinstance(data, Mapping):
        raise UserError(f"data.{where} of the suite must be a dict with {', '.join(needed)}, but it is {data!r}")
    unknown = [key for key in data if key not in needed + optional]
    lacking = [key for key in needed if key not in data]
    if unknown or lacking:
        what = f"has the unknown key '{unknown[0]}'" if unknown else f"lacks the key '{lacking[0]}'"
        raise UserError(f"data.{where} of the suite {what}: it takes {', '.join(needed + optional)}")
