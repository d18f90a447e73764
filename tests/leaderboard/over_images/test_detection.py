"""AP of any images, against pycocotools: of all images, and of data in which images really stand several times."""

from __future__ import annotations

import contextlib
import copy
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.over_images.detection import DetectionMatches

KINDS = ("bbox", "segm")
SIZES = (1, 5, 12)  # objects of all three sizes


def reference(truth, results, kind):
    """AP, AP50, AP75 and AP of small, medium and large objects by pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        # As mmdet: the area of a mask, not that of its box.
        kept = [{k: v for k, v in one.items() if kind == "bbox" or k != "bbox"} for one in copy.deepcopy(results)]
        evaluation = COCOeval(coco, coco.loadRes(kept), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l"), evaluation.stats[:6], strict=True))


def repeated(truth, results, weights):
    """The same data with each image as often as its weight says, under ids of its own."""
    data = {**truth, "images": [], "annotations": []}
    found = []
    for image, times in zip(sorted(truth["images"], key=lambda one: one["id"]), weights, strict=True):
        for copied in range(int(times)):
            name = image["id"] * 1000 + copied
            data["images"].append({**image, "id": name})
            for one in truth["annotations"]:
                if one["image_id"] == image["id"]:
                    data["annotations"].append({**one, "image_id": name, "id": len(data["annotations"]) + 1})
            found += [{**one, "image_id": name} for one in results if one["image_id"] == image["id"]]
    return data, found


def load(made, folder, truth, results, classes=None):
    path = made.write_detection(folder, truth, results)
    return DetectionMatches(path, {kind: folder / f"predictions.{kind}.json" for kind in KINDS}, classes)


def assert_agree(found, expected, kind):
    for name, value in expected.items():
        mine = found[f"coco/{kind}_{name}"]
        # -1 is pycocotools' for a metric without an object.
        assert np.isnan(mine) if value == -1 else mine == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("scales", [(1,), SIZES])
@pytest.mark.parametrize("seed", range(6))
def test_all_images_have_the_ap_of_pycocotools(made, tmp_path, seed, scales):
    truth, results = made.detection(images=8, seed=seed, scales=scales)
    matches = load(made, tmp_path, truth, results)
    found = matches.metrics(np.ones(8))
    assert len(found) == 12
    for kind in KINDS:
        assert_agree(found, reference(truth, results, kind), kind)
    assert 0.01 < found["coco/bbox_mAP"] < 0.98


@pytest.mark.parametrize("seed", range(6))
def test_drawn_images_have_the_ap_of_data_that_holds_them_so_often(made, tmp_path, seed):
    truth, results = made.detection(images=7, seed=seed, scales=SIZES if seed % 2 else (1,))
    matches = load(made, tmp_path, truth, results)
    for weights in np.random.default_rng(seed).multinomial(7, [1 / 7] * 7, size=4):
        data, there = repeated(truth, results, weights)
        found = matches.metrics(weights.astype(float))
        for kind in KINDS:
            assert_agree(found, reference(data, there, kind), kind)


def test_scaled_objects_are_of_all_sizes(made, tmp_path):
    truth, results = made.detection(images=8, seed=3, scales=SIZES)
    found = load(made, tmp_path, truth, results).metrics(np.ones(8))
    assert len({found[f"coco/bbox_mAP{area}"] for area in ("", "_s", "_m", "_l")}) == 4
    assert all(found[f"coco/bbox_mAP_{area}"] > 0 for area in "sml")


def test_only_named_categories_count(made, tmp_path):
    truth, results = made.detection(seed=1)
    alone = {**truth, "annotations": [one for one in truth["annotations"] if one["category_id"] == 7]}
    alone["categories"] = truth["categories"][1:]
    found = load(made, tmp_path, truth, results, classes=("dog",)).metrics(np.ones(6))
    expected = reference(alone, [one for one in results if one["category_id"] == 7], "bbox")
    assert found["coco/bbox_mAP"] == pytest.approx(expected["mAP"], abs=1e-12)


def test_who_finds_nothing_has_no_ap(made, tmp_path):
    truth, _ = made.detection(seed=3, scales=SIZES)
    found = load(made, tmp_path, truth, []).metrics(np.ones(6))
    assert set(found.values()) == {0.0}


def test_without_objects_there_is_no_ap(made, tmp_path):
    truth, results = made.detection()
    truth["annotations"] = []
    found = load(made, tmp_path, truth, results).metrics(np.ones(6))
    assert all(np.isnan(value) for value in found.values())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[{", "is not valid JSON"),
        ("{}", "is not a COCO results file"),
        (json.dumps([{"image_id": 99999, "category_id": 3, "bbox": [0, 0, 1, 1], "score": 1.0}]), "does not fit"),
        (json.dumps([{"image_id": 10}]), "does not fit"),
    ],
)
def test_results_that_do_not_fit_are_named(made, tmp_path, text, sentence):
    truth, results = made.detection()
    made.write_detection(tmp_path, truth, results)
    (tmp_path / "predictions.bbox.json").write_text(text)
    with pytest.raises(UserError, match=rf"predictions\.bbox\.json {sentence}"):
        DetectionMatches(tmp_path / "truth.json", {"bbox": tmp_path / "predictions.bbox.json"})


def test_annotations_that_are_none_are_named(made, tmp_path):
    truth, results = made.detection()
    made.write_detection(tmp_path, truth, results)
    (tmp_path / "truth.json").write_text('{"images": []}')
    with pytest.raises(UserError, match=r"truth\.json is not in COCO's format"):
        DetectionMatches(tmp_path / "truth.json", {"bbox": tmp_path / "predictions.bbox.json"})
    with pytest.raises(UserError, match=r"none\.json cannot be read"):
        DetectionMatches(tmp_path / "none.json", {"bbox": tmp_path / "predictions.bbox.json"})
