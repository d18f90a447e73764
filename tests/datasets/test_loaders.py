"""The built-in data, read by mmdet's and mmseg's own loaders."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, METRICS, init_default_scope

from mixpro_bench.datasets import digits
from mixpro_bench.datasets.seeding import EpochIndex, SeededDataset
from mixpro_bench.datasets.settings import use_detection, use_segmentation

pytestmark = pytest.mark.mm

CONFIGS = Path(__file__).parents[2] / "configs/_base_/datasets"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mixpro_bench.compat import install

    install()
    folder = tmp_path_factory.mktemp("digits")
    made = digits.build_digits(folder, counts={"cls": (20, 10), "det": (12, 6), "seg": (12, 6)})
    made.rename(folder / digits.set_name())
    return folder


@pytest.fixture
def config(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MIXPRO_DIGITS", str(root))

    def load(name: str, scope: str) -> Config:
        init_default_scope(scope)
        return Config.fromfile(CONFIGS / name)

    return load


@pytest.mark.parametrize("scope", ["mmdet", "mixpro_bench"])
def test_detection(config, root: Path, scope: str) -> None:
    cfg = config("digits_det.py", scope)
    for loader, split in (("train_dataloader", "train"), ("val_dataloader", "val")):
        data = DATASETS.build(cfg[loader].dataset)
        truth = json.loads((root / digits.set_name() / f"det/annotations/instances_{split}.json").read_text())
        assert len(data) == len(truth["images"])
        for sample in data:
            instances = sample["data_samples"].gt_instances
            found = [one for one in truth["annotations"] if one["image_id"] == sample["data_samples"].img_id]
            assert sample["inputs"].shape == (3, 96, 96)
            assert (instances.labels + 1).tolist() == [one["category_id"] for one in found]
            assert [int(mask.sum()) for mask in instances.masks.masks] == [one["area"] for one in found]
            for box, mask in zip(instances.bboxes.tensor, instances.masks.masks, strict=True):
                columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
                assert box.tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert METRICS.build(cfg.val_evaluator)._coco_api.get_cat_ids() == list(range(1, 11))


@pytest.mark.parametrize("scope", ["mmseg", "mixpro_bench"])
def test_segmentation(config, root: Path, scope: str) -> None:
    cfg = config("digits_seg.py", scope)
    for loader, split in (("train_dataloader", "training"), ("val_dataloader", "validation")):
        data = DATASETS.build(cfg[loader].dataset)
        folder = root / digits.set_name() / "seg/annotations" / split
        assert len(data) == len(list(folder.iterdir()))
        for sample in data:
            path = folder / Path(sample["data_samples"].img_path).name
            mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            # Background, 0 on disk, wraps round to 255, which is ignored.
            np.testing.assert_array_equal(sample["data_samples"].gt_sem_seg.data[0], mask - np.uint8(1))
    METRICS.build(cfg.val_evaluator)


@pytest.mark.parametrize(("reduce", "names"), [(True, list("0123456789")), (False, ["ground", *"0123456789"])])
def test_reduce_zero_label_reaches_the_pixels(config, root: Path, reduce: bool, names: list[str]) -> None:
    cfg = config("digits_seg.py", "mmseg")
    cfg.model = {"decode_head": {"num_classes": 11}}
    settings = {
        "root": str(root / digits.set_name() / "seg"),
        "train": ("images/training", "annotations/training"),
        "val": ("images/validation", "annotations/validation"),
        "classes": names,
        "reduce_zero_label": reduce,
    }
    sample = DATASETS.build(use_segmentation(cfg, settings).train_dataloader.dataset)[0]
    mask = cv2.imread(sample["data_samples"].seg_map_path, cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(sample["data_samples"].gt_sem_seg.data[0], mask - np.uint8(1) if reduce else mask)


def test_merged_categories_are_read(config, root: Path, tmp_path: Path) -> None:
    cfg = config("digits_det.py", "mmdet")
    cfg.model = {"roi_head": {"bbox_head": {"num_classes": 10}}}
    settings = {
        "root": str(root / digits.set_name() / "det"),
        "train": {"ann": "annotations/instances_train.json", "images": "train"},
        "val": {"ann": "annotations/instances_val.json", "images": "val"},
        "merge": "supercategory",
    }
    data = DATASETS.build(use_detection(cfg, settings, tmp_path).train_dataloader.dataset)
    assert data.metainfo["classes"] == ["digit"]
    assert {label for sample in data for label in sample["data_samples"].gt_instances.labels.tolist()} == {0}


def test_mmdet_augmentations_are_seeded(config) -> None:
    cfg = config("digits_det.py", "mmdet")
    cfg.train_dataloader.dataset.pipeline.insert(2, {"type": "mmdet.RandomFlip", "prob": 0.5})
    cfg.train_dataloader.dataset.pipeline.insert(3, {"type": "mmdet.PhotoMetricDistortion"})
    data = SeededDataset(DATASETS.build(cfg.train_dataloader.dataset), seed=0)
    assert data.get_data_info(EpochIndex(0, 1))["width"] == 96
    one, again, later = (data[EpochIndex(3, epoch)]["inputs"] for epoch in (0, 0, 1))
    assert (one == again).all()
    assert (one != later).any()
