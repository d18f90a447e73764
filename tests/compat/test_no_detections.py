"""A detector that finds nothing gets zeros, in mmdet's metric and in the Record of a real run."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator

from mixpro_bench.compat.no_detections import measure_nothing_found

pytestmark = pytest.mark.mm

NAMES = [f"coco/{kind}_mAP{part}" for kind in ("bbox", "segm") for part in ("", "_50", "_75", "_s", "_m", "_l")]


def truth(folder) -> str:
    """Write two images with one small and one large object."""
    boxes = [[4, 4, 10, 10], [10, 10, 100, 100]]
    annotations = [
        dict(id=i + 1, image_id=i, category_id=1, bbox=box, area=box[2] * box[3], iscrowd=0)
        | dict(segmentation=[[box[0], box[1], box[0], box[1] + box[3], box[0] + box[2], box[1] + box[3]]])
        for i, box in enumerate(boxes)
    ]
    images = [dict(id=i, file_name=f"{i}.png", width=128, height=128) for i in range(2)]
    path = folder / "truth.json"
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=[dict(id=1, name="a")])))
    return str(path)


def evaluate(folder, found: int, mended: bool) -> dict[str, float]:
    from mixpro_bench.compat import install

    install()
    from mmdet.evaluation import CocoMetric

    evaluator = Evaluator([CocoMetric(ann_file=truth(folder), metric=["bbox", "segm"])])
    if mended:
        assert measure_nothing_found(measure_nothing_found(evaluator)) is evaluator
    evaluator.dataset_meta = dict(classes=("a",))
    for image in range(2):
        mask = np.zeros((found, 128, 128), dtype=bool)
        mask[:, 4:14, 4:14] = True
        boxes = torch.tensor([[4.0, 4.0, 14.0, 14.0]] * found).reshape(-1, 4)
        instances = dict(bboxes=boxes, scores=torch.ones(found), labels=torch.zeros(found, dtype=torch.long))
        sample = dict(img_id=image, ori_shape=(128, 128), pred_instances=dict(instances, masks=torch.from_numpy(mask)))
        evaluator.process([sample])
    return evaluator.evaluate(2)


def test_nothing_found_is_zero_where_there_was_something_to_find(tmp_path):
    assert evaluate(tmp_path, 0, mended=False) == {}, "mmdet has mended it: this room can go"
    measured = evaluate(tmp_path, 0, mended=True)
    assert list(measured) == NAMES
    # pycocotools says -1 for a size that no object has.
    assert {name: value for name, value in measured.items() if value} == {"coco/bbox_mAP_m": -1, "coco/segm_mAP_m": -1}


def test_what_is_found_is_measured_as_before(tmp_path):
    plain = evaluate(tmp_path, 1, mended=False)
    assert plain == evaluate(tmp_path, 1, mended=True)
    assert plain["coco/bbox_mAP_s"] == 1.0


def test_the_record_of_a_blind_detector_holds_zeros(tmp_path, monkeypatch):
    from mixpro_bench.cli.main import main
    from mixpro_bench.datasets.digits import build_digits

    made = build_digits(tmp_path, counts=dict(cls=(2, 2), det=(4, 2), seg=(2, 2)))
    (tmp_path / "v1-seed0").symlink_to(made)
    monkeypatch.setenv("MIXPRO_DIGITS", str(tmp_path))
    options = [
        "train_cfg.max_iters=1",
        "train_cfg.val_interval=1",
        "train_dataloader.batch_size=2",
        "train_dataloader.num_workers=0",
        "train_dataloader.persistent_workers=False",
        "model.test_cfg.rcnn.score_thr=1.1",
    ]
    config = "configs/transfer/det/mask-rcnn_vit-digits_digits.py"
    work_dir = tmp_path / "run"
    assert main(["transfer", config, "--from-scratch", "--work-dir", str(work_dir), "--cfg-options", *options]) == 0
    metrics = json.loads((work_dir / "record.json").read_text())["metrics"]
    assert set(NAMES) <= set(metrics)
    assert metrics["coco/bbox_mAP"] == metrics["coco/segm_mAP"] == 0.0
