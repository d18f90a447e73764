"""The three short runs that `benchmark resume` kills: configs of the demo, smaller and with everything switched on."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.runner import Runner as EngineRunner

from mixpro_bench.benchmark.resume import SEED, WORKERS, Stage
from mixpro_bench.config import load_config
from mixpro_bench.config_index import config_folder
from mixpro_bench.datasets.digits import build_digits

INTERVAL = 3
"""Steps between checkpoints; in pretraining no divisor of an epoch's five."""
COUNTS = {"cls": (80, 20), "det": (12, 2), "seg": (12, 2)}
CONFIGS = {
    "pretrain": "pretrain/digits/vit_digits_mixpro.py",
    "det": "transfer/det/mask-rcnn_vit-digits_digits.py",
    "seg": "transfer/seg/upernet_vit-digits_digits.py",
}
_LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
_SMALL = {
    "model.backbone.depth": 1,
    "model.backbone.drop_path_rate": 0.2,
    "model.backbone.proj_drop_rate": 0.1,
    "train_dataloader.num_workers": WORKERS,
    "default_hooks.logger.interval": 2,
    "randomness.seed": SEED,
}


def make_stages(folder: Path, names: Sequence[str]) -> dict[str, Stage]:
    """Make the data, and write the configs of the stages that are named, under ``folder``."""
    data = build_digits(folder / "data", counts=COUNTS)
    options = {"pretrain": _pretraining, "det": _detection, "seg": _segmentation}
    sizes = {"pretrain": (16, 20), "det": (2, 18), "seg": (2, 24)}
    return {name: _stage(folder, name, options[name](data), *sizes[name]) for name in names}


def _stage(folder: Path, name: str, options: dict[str, Any], batch: int, steps: int) -> Stage:
    pretraining = name == "pretrain"
    last = 4 if pretraining else steps
    count = "epochs" if pretraining else "iters"
    schedule = dict(type="CosineAnnealingLR", by_epoch=pretraining, begin=0, end=last, T_max=last)
    cfg = load_config(
        config_folder() / CONFIGS[name],
        {
            **_SMALL,
            **options,
            f"train_cfg.max_{count}": last,
            "train_cfg.val_interval": last,
            "param_scheduler": [{**schedule, "convert_to_iter_based": True} if pretraining else schedule],
            "train_dataloader.batch_size": batch,
            "default_hooks.checkpoint.interval": INTERVAL,
            "default_hooks.checkpoint.by_epoch": False,
        },
    )
    cfg.custom_hooks = [*cfg.get("custom_hooks", []), dict(type="mixpro_bench.EMAHook", momentum=0.1)]
    # mmengine formats the text of a config several times in each process: what nobody reads is left out.
    read = set(inspect.signature(EngineRunner.__init__).parameters) | {"bench", "runner_type"}
    for key in [key for key in cfg if key not in read or key.startswith("test_")]:
        cfg.pop(key)
    path = folder / f"{name}.py"
    cfg.dump(str(path))
    words = ("pretrain" if pretraining else "transfer", str(path))
    return Stage(name, path, words, batch, INTERVAL, steps, by_epoch=pretraining)


def _pretraining(data: Path) -> dict[str, Any]:
    return {
        **{f"{loader}.dataset.root": str(data / "cls") for loader in _LOADERS},
        "train_dataloader.dataset.cache": None,
        "train_dataloader.dataset.transform.hflip": 0.5,
        "val_dataloader.batch_size": 20,
    }


def _detection(data: Path) -> dict[str, Any]:
    annotations = f"{data}/det/annotations/instances_val.json"
    return {
        **{f"{loader}.dataset.data_root": f"{data}/det/" for loader in _LOADERS},
        **{f"{name}.ann_file": annotations for name in ("val_evaluator", "test_evaluator")},
        "train_dataloader.dataset.pipeline": [
            dict(type="LoadImageFromFile"),
            dict(type="mmdet.LoadAnnotations", with_bbox=True, with_mask=True),
            dict(type="RandomChoiceResize", scales=[(96, 96), (80, 80)], keep_ratio=True),
            dict(type="mmdet.RandomFlip", prob=0.5),
            dict(type="mmdet.PhotoMetricDistortion"),
            dict(type="mmdet.PackDetInputs"),
        ],
    }


def _segmentation(data: Path) -> dict[str, Any]:
    return {
        **{f"{loader}.dataset.data_root": f"{data}/seg" for loader in _LOADERS},
        "train_dataloader.dataset.pipeline": [
            dict(type="LoadImageFromFile"),
            dict(type="mmseg.LoadAnnotations"),
            dict(type="RandomResize", scale=(96, 96), ratio_range=(0.8, 1.2), keep_ratio=True),
            dict(type="mmseg.RandomCrop", crop_size=(64, 64)),
            dict(type="RandomFlip", prob=0.5),
            dict(type="mmseg.PhotoMetricDistortion"),
            dict(type="mmseg.PackSegInputs"),
        ],
    }
