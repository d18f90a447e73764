from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from check_sets import ROOT, SETS, TRAIN, check, cut, exchange, make, pictures


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("sets"))


@pytest.fixture(params=SETS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def data(kind: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIXPRO_CACHE_DIR", str(tmp_path / "cache"))
    return shutil.copytree(made / kind / "det", tmp_path / "data")


@pytest.fixture
def words(kind: str, data: Path) -> tuple[Any, ...]:
    return ("coco", data, *(("--classes", 10) if kind == "digits" else ()))


def edit(data: Path, change: Callable[[dict[str, Any]], Any], split: str = "train") -> None:
    path = data / f"annotations/instances_{split}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_good(words: tuple, data: Path, capsys: pytest.CaptureFixture) -> None:
    status, report, found = check(capsys, *words, "--deep")
    assert (status, found) == (0, {})
    assert report["counts"]["train"]["pictures"] == TRAIN
    assert report["looked_at"] == len(pictures(data))


@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        ({"bbox": [1, 1, 0, 5]}, "empty-box", 0),
        ({"bbox": [1, 1, 5, -3]}, "empty-box", 0),
        ({"area": 0}, "empty-box", 0),
        ({"bbox": [9000, 1, 5, 5]}, "outside", 0),
        ({"bbox": [-40, -40, 60, 60]}, "sticking-out", 0),
        ({"bbox": [1, 1, 5]}, "box", 1),
        ({"bbox": [1, 1, None, 5]}, "box", 1),
        ({"bbox": [1, 1, float("nan"), 5]}, "box", 1),
        ({"image_id": 10**9}, "lost-image", 1),
        ({"category_id": 999}, "lost-category", 1),
        ({"segmentation": []}, "no-mask", 1),
        ({"segmentation": [[1, 2, 3, 4]]}, "polygon", 0),
    ],
)
def test_annotations(
    words: tuple, data: Path, capsys: pytest.CaptureFixture, change: dict[str, Any], code: str, status: int
) -> None:
    edit(data, lambda content: content["annotations"][0].update(change))
    got, report, found = check(capsys, *words)
    assert (got, set(found)) == (status, {code})
    ids = next(one["names"] for one in report["findings"] if one["code"] == code)
    assert ids == [str(json.loads((data / "annotations/instances_train.json").read_text())["annotations"][0]["id"])]


def test_crowds_and_pictures_without(words: tuple, data: Path, capsys: pytest.CaptureFixture) -> None:
    def crowd(content: dict[str, Any]) -> None:
        first = content["images"][0]["id"]
        for one in content["annotations"]:
            one["iscrowd"] = int(one["image_id"] == first)

    edit(data, crowd)
    status, report, found = check(capsys, *words)
    assert (status, found) == (0, {})
    counts = report["counts"]["train"]
    assert counts["pictures_without"] >= 1
    assert counts["crowds"] + counts["usable"] == counts["annotations"]
    edit(data, lambda content: [one.update(iscrowd=1) for one in content["annotations"]])
    assert set(check(capsys, *words)[2]) == {"nothing"}


def test_doubles(words: tuple, data: Path, capsys: pytest.CaptureFixture) -> None:
    edit(data, lambda content: content["annotations"].append(content["annotations"][0]))
    assert set(check(capsys, *words)[2]) == {"double"}
    edit(data, lambda content: content["annotations"].pop())
    edit(data, lambda content: content["images"].append(content["images"][0]))
    assert set(check(capsys, *words)[2]) == {"double"}


def test_pictures(words: tuple, data: Path, capsys: pytest.CaptureFixture) -> None:
    lost, short, small, *_ = pictures(data / "train")
    lost.unlink()
    status, _, found = check(capsys, *words)
    assert (status, set(found)) == (1, {"missing-picture"})
    assert lost.name in found["missing-picture"]
    cut(short)
    Image.new("RGB", (7, 5)).save(small)
    found = check(capsys, *words)[2]
    assert set(found) == {"missing-picture", "unreadable", "size"}
    assert short.name in found["unreadable"]
    assert small.name in found["size"]


def test_swapped(words: tuple, data: Path, capsys: pytest.CaptureFixture) -> None:
    exchange(data / "annotations/instances_train.json", data / "annotations/instances_val.json")
    exchange(data / "train", data / "val")
    assert set(check(capsys, *words)[2]) == {"swapped"}
    told = ("--train", "val", "--val", "train")
    ann = ("--train-ann", "annotations/instances_val.json", "--val-ann", "annotations/instances_train.json")
    assert check(capsys, *words, *told, *ann)[0] == 0
    found = check(capsys, *words, *ann)[2]
    assert found.keys() & {"swapped", "missing-picture", "size"}


def test_categories(words: tuple, data: Path, kind: str, capsys: pytest.CaptureFixture) -> None:
    assert set(check(capsys, *words[:2], "--classes", 91)[2]) == {"classes"}
    edit(data, lambda content: content["categories"].reverse())
    assert set(check(capsys, *words)[2]) == {"classes-differ"}
    for split in ("train", "val"):
        edit(data, lambda content: content["categories"][-1].update(name="unheard-of"), split)
    edit(data, lambda content: content["categories"].reverse())
    edit(data, lambda content: content["categories"][0].update(name="unheard-of"))
    edit(data, lambda content: content["categories"][-1].update(name="another"))
    found = check(capsys, *words)[2]
    assert "classes-differ" in found
    assert ("other-classes" in found) == (kind == "real")


def test_missing_parts(words: tuple, data: Path, capsys: pytest.CaptureFixture) -> None:
    (data / "annotations/instances_val.json").write_text("[1, 2]")
    assert set(check(capsys, *words)[2]) == {"annotations"}
    (data / "annotations/instances_val.json").unlink()
    assert "--val-ann" in check(capsys, *words)[2]["missing"]
    assert "does not exist" in check(capsys, *words, "--val-ann", "nothing.json")[2]["missing"]
    shutil.rmtree(data / "train")
    assert "--train FOLDER" in check(capsys, *words, "--val-ann", "annotations/instances_train.json")[2]["missing"]


def test_odd_content_is_no_traceback(words: tuple, data: Path, capsys: pytest.CaptureFixture) -> None:
    def spoil(content: dict[str, Any]) -> None:
        content["annotations"][0] = {}
        content["annotations"][1].update(image_id=[1], category_id={}, id=None)
        content["annotations"][2].update(bbox="1 2 3 4")
        content["images"][0].update(width="640")
        content["images"][1].pop("file_name")
        content["categories"][0].pop("name")

    edit(data, spoil)
    status, _, found = check(capsys, *words)
    assert status == 1
    assert {"lost-image", "box", "image-entry"} <= set(found)


@pytest.mark.skipif(not ROOT, reason="MIXPRO_DATA_ROOT is not set")
def test_the_real_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("MIXPRO_CACHE_DIR", str(tmp_path))
    status, report, found = check(capsys, "coco", Path(ROOT or "") / "coco_subset")
    assert (status, found) == (0, {})
    assert (report["counts"]["train"]["crowds"], report["counts"]["val"]["annotations"]) == (24, 1424)
