from __future__ import annotations

import contextlib
import hashlib
import io
import json
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from mixpro_bench.cli.main import main
from mixpro_bench.datasets import digits
from mixpro_bench.datasets.scenes import load_glyphs, make_scene
from mixpro_bench.errors import UserError

SMALL = {"cls": (40, 20), "det": (12, 6), "seg": (12, 6)}


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits.build_digits(tmp_path_factory.mktemp("digits"), counts=SMALL)


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_seed_same_bytes(small: Path, tmp_path: Path) -> None:
    assert contents(digits.build_digits(tmp_path, counts=SMALL)) == contents(small)
    other = digits.build_digits(tmp_path, counts=SMALL, seed=1)
    assert other.name != small.name
    assert not set(contents(other).values()) & set(contents(small).values())


def test_second_call_writes_nothing(small: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in small.rglob("*")}
    assert digits.build_digits(small.parent, counts=SMALL) == small
    assert {path: path.stat().st_mtime_ns for path in small.rglob("*")} == before


def test_processes_wait_for_each_other(tmp_path: Path) -> None:
    threads = [threading.Thread(target=digits.build_digits, args=(tmp_path,), kwargs={"counts": SMALL}) for _ in "abc"]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [digits.set_name(counts=SMALL)]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    stale = tmp_path / f".{digits.set_name(counts=SMALL)}.abc123" / "cls"
    stale.mkdir(parents=True)
    digits.build_digits(tmp_path, counts=SMALL)
    assert not stale.parent.exists()


def test_test_digits_are_in_no_training_scene() -> None:
    train, val = load_glyphs("train"), load_glyphs("val")
    assert not set(train.rows) & set(val.rows)
    assert len(train.rows) + len(val.rows) == 1797
    assert len(np.unique(val.labels)) == 10
    # Nor does the set hold the same image twice across the two.
    seen = {image.tobytes() for image in train.images}
    assert not [row for row, image in zip(val.rows, val.images, strict=True) if image.tobytes() in seen]


def test_a_scene_depends_on_its_place_alone() -> None:
    glyphs = load_glyphs("train")
    options = {"glyphs": glyphs, "size": 96, "counts": (2, 4), "sides": (24, 44)}
    one, again, next_ = (make_scene(0, "train", "det", i, **options) for i in (7, 7, 8))
    np.testing.assert_array_equal(one.image, again.image)
    assert (one.image != next_.image).any()
    assert (one.masks.sum(0) <= 1).all()
    assert one.masks.any((1, 2)).all()


def test_digits_stand_out_from_the_background() -> None:
    glyphs = load_glyphs("train")
    for index in range(40):
        scene = make_scene(0, "train", "cls", index, glyphs, 32, (1, 1), (22, 32))
        grey = cv2.cvtColor(scene.image, cv2.COLOR_RGB2GRAY).astype(float)
        mask = scene.masks[0]
        assert 0.03 < mask.mean() < 0.6
        assert abs(grey[mask].mean() - grey[~mask].mean()) > 25


def test_classification_layout(small: Path) -> None:
    for split, each in (("train", 4), ("val", 2)):
        folders = sorted(path.name for path in (small / "cls" / split).iterdir())
        assert folders == list("0123456789")
        assert {len(list((small / "cls" / split / name).glob("*.png"))) for name in folders} == {each}
    assert cv2.imread(str(next((small / "cls/train/3").iterdir()))).shape == (32, 32, 3)


@pytest.mark.parametrize("split", ["train", "val"])
def test_coco_file_is_exact(small: Path, split: str) -> None:
    from pycocotools import mask as coco_mask
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(small / "det/annotations" / f"instances_{split}.json"))
        assert len(truth.getImgIds()) == SMALL["det"][split == "val"]
        for image in truth.loadImgs(truth.getImgIds()):
            picture = cv2.imread(str(small / "det" / split / image["file_name"]))
            assert picture.shape == (image["height"], image["width"], 3) == (96, 96, 3)
            found = truth.loadAnns(truth.getAnnIds(image["id"]))
            assert 2 <= len(found) <= 4
        for annotation in truth.anns.values():
            mask = truth.annToMask(annotation)
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
            assert annotation["bbox"] == box
            assert annotation["area"] == mask.sum() > 0
            assert coco_mask.area(annotation["segmentation"]) == mask.sum()
        results = [{**annotation, "score": 1.0} for annotation in truth.anns.values()]
        detections = truth.loadRes(results)
        for kind in ("bbox", "segm"):
            evaluation = COCOeval(truth, detections, kind)
            evaluation.evaluate(), evaluation.accumulate(), evaluation.summarize()
            assert evaluation.stats[0] == pytest.approx(1.0)


def test_segmentation_layout(small: Path) -> None:
    values = set()
    for split, count in (("training", 12), ("validation", 6)):
        images = sorted((small / "seg/images" / split).iterdir())
        masks = sorted((small / "seg/annotations" / split).iterdir())
        assert [path.name for path in images] == [path.name for path in masks]
        assert len(images) == count
        for path in masks:
            mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert mask.shape == (96, 96)
            assert mask.dtype == np.uint8
            values |= set(np.unique(mask).tolist())
    assert values == set(range(11))


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "COUNTS", SMALL)
    assert main(["make-data", str(tmp_path / "data"), "--seed", "3"]) == 0
    manifest = json.loads((tmp_path / "data/v1-seed3/manifest.json").read_text())
    assert manifest["seed"] == 3
    assert manifest["sha256"][:16] in capsys.readouterr().out


def test_bad_places_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    with pytest.raises(UserError, match="cannot write the built-in data"):
        digits.build_digits(file)
    (tmp_path / digits.set_name()).mkdir()
    (tmp_path / digits.set_name() / "mine.txt").write_text("kept")
    with pytest.raises(UserError, match=r"no manifest\.json"):
        digits.build_digits(tmp_path)
    assert contents(tmp_path / digits.set_name()).keys() == {"mine.txt"}
    with pytest.raises(UserError, match="counts names"):
        digits.set_name(counts={"other": (1, 1)})
