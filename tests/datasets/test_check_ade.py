from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
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
    return shutil.copytree(made / kind / "seg", tmp_path / "data")


@pytest.fixture
def words(kind: str, data: Path) -> tuple[Any, ...]:
    return ("ade20k", data, "--classes", 11, *(("--keep-zero-label",) if kind == "digits" else ()))


def masks(data: Path, split: str = "training") -> list[Path]:
    return pictures(data / "annotations" / split)


def test_good(words: tuple, capsys: pytest.CaptureFixture) -> None:
    status, report, found = check(capsys, *words, "--deep")
    assert status == 0
    assert set(found) <= {"unused-labels"}  # so few pictures need not show every class
    assert report["counts"]["training"]["pictures"] == TRAIN


def test_modes(words: tuple, data: Path, capsys: pytest.CaptureFixture) -> None:
    deep, wrapped, palette, colour, *_ = masks(data)
    for path in (deep, wrapped):
        values = np.asarray(Image.open(path)).astype(np.uint16)
        values[0, 0] = 300 if path == wrapped else values[0, 0]
        Image.fromarray(values).save(path)
        assert Image.open(path).mode.startswith("I")
    with Image.open(palette) as mask:
        indexed = Image.fromarray(np.asarray(mask))
    indexed.putpalette(list(range(256)) * 3)
    indexed.save(palette)
    Image.open(colour).convert("RGB").save(colour)
    status, report, found = check(capsys, *words)
    assert status == 1
    assert set(found) == {"16-bit-mask", "palette-mask", "colour-mask"}
    named = {one["code"]: one["names"] for one in report["findings"]}
    assert named["16-bit-mask"] == [wrapped.name]
    assert named["palette-mask"] == [palette.name]
    assert named["colour-mask"] == [colour.name]
    wrapped.write_bytes(masks(data)[-1].read_bytes())
    colour.write_bytes(masks(data)[-1].read_bytes())
    # 16 bits with small values, and a palette, are read rightly by mmseg's default.
    status, _, found = check(capsys, *words)
    assert (status, set(found)) == (0, {"16-bit-mask", "palette-mask"})


@pytest.mark.parametrize("value", [12, 200, 254])
def test_labels_out_of_range(words: tuple, data: Path, capsys: pytest.CaptureFixture, value: int) -> None:
    path = masks(data)[3]
    values = np.asarray(Image.open(path)).copy()
    values[0, 0], values[0, 1] = value, 255
    Image.fromarray(values).save(path)
    status, _, found = check(capsys, *words)
    assert (status, set(found)) == (1, {"labels"})
    assert path.name in found["labels"]
    assert str(value) in found["labels"]


def test_the_largest_label_and_the_ignored_one_are_fine(
    words: tuple, data: Path, kind: str, capsys: pytest.CaptureFixture
) -> None:
    path = masks(data)[3]
    values = np.asarray(Image.open(path)).copy()
    values[0, 0], values[0, 1] = 10 if kind == "digits" else 11, 255
    Image.fromarray(values).save(path)
    assert check(capsys, *words)[0] == 0


def test_pairs(words: tuple, data: Path, capsys: pytest.CaptureFixture) -> None:
    first, second = pictures(data / "images/training")[:2]
    first.unlink()
    status, _, found = check(capsys, *words)
    assert (status, set(found)) == (0, {"no-picture"})
    (data / "annotations/training" / second.with_suffix(".png").name).unlink()
    status, _, found = check(capsys, *words)
    assert (status, set(found)) == (1, {"no-picture", "no-mask"})
    assert second.name in found["no-mask"]


def test_broken_files(words: tuple, data: Path, capsys: pytest.CaptureFixture) -> None:
    cut(masks(data)[0])
    cut(pictures(data / "images/validation")[0])
    mask = masks(data)[2]
    with Image.open(mask) as picture:
        small = picture.resize((16, 16), Image.Resampling.NEAREST)
    small.save(mask)
    status, report, found = check(capsys, *words)
    assert (status, set(found)) == (1, {"unreadable", "size"})
    assert sum(one["code"] == "unreadable" for one in report["findings"]) == 2
    assert mask.name in found["size"]


def test_blank_mask(words: tuple, data: Path, capsys: pytest.CaptureFixture) -> None:
    path = masks(data)[0]
    Image.fromarray(np.full_like(np.asarray(Image.open(path)), 255)).save(path)
    status, _, found = check(capsys, *words)
    assert (status, set(found)) == (0, {"blank-mask"})


def test_swapped(words: tuple, data: Path, capsys: pytest.CaptureFixture) -> None:
    for part in ("images", "annotations"):
        exchange(data / part / "training", data / part / "validation")
    assert set(check(capsys, *words)[2]) == {"swapped"}
    assert check(capsys, *words, "--train", "validation", "--val", "training")[0] == 0


def test_swapped_by_names(words: tuple, data: Path, capsys: pytest.CaptureFixture) -> None:
    for path in [*pictures(data / "images/training"), *masks(data)]:
        path.rename(path.with_name(f"ADE_val_{path.name}"))
    assert set(check(capsys, *words)[2]) == {"swapped"}


def test_roots(words: tuple, data: Path, capsys: pytest.CaptureFixture) -> None:
    status, _, found = check(capsys, words[0], data / "images", *words[2:])
    assert (status, set(found)) == (1, {"missing"})
    (data / "up").mkdir()
    for part in ("images", "annotations"):
        shutil.move(data / part, data / "up/ADEChallengeData2016" / part)
    assert "ADEChallengeData2016" in check(capsys, words[0], data / "up", *words[2:])[2]["missing"]


def test_class_lists(words: tuple, data: Path, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    listed = tmp_path / "list.txt"
    first = 0 if kind == "digits" else 1
    call = (*words[:2], *words[4:], "--class-file", listed)
    listed.write_text("".join(f"{i + first} thing{i}\n" for i in range(11)))
    assert check(capsys, *call)[0] == 0
    listed.write_text("".join(f"{i + 5} thing{i}\n" for i in range(11)))
    assert set(check(capsys, *call)[2]) == {"class-list"}
    # Lists of other sets: too short for the masks, too long for them, or not of the number that was told.
    listed.write_text("".join(f"thing{i}\n" for i in range(4)))
    assert set(check(capsys, *call)[2]) == {"labels"}
    listed.write_text("".join(f"thing{i}\n" for i in range(171)))
    status, _, found = check(capsys, *call)
    assert (status, set(found)) == (0, {"unused-labels"})
    assert set(check(capsys, *words, "--class-file", listed)[2]) == {"class-list"}
    (data / "classes.txt").unlink(missing_ok=True)
    rows = [f"{i + 1}\t0.1\t10\t1\t0\tthing{i}" for i in range(150)]
    (data / "objectInfo150.txt").write_text("\n".join(["Idx\tRatio\tTrain\tVal\tStuff\tName", *rows]))
    assert set(check(capsys, *words)[2]) == {"class-list"}
    if kind == "real":
        assert set(check(capsys, *words[:2])[2]) == {"unused-labels"}


@pytest.mark.skipif(not ROOT, reason="MIXPRO_DATA_ROOT is not set")
def test_the_real_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("MIXPRO_CACHE_DIR", str(tmp_path))
    camvid = Path(ROOT or "") / "camvid"
    status, report, found = check(capsys, "ade20k", camvid, "--classes", 11)
    assert (status, found) == (0, {})
    assert report["counts"]["validation"]["pictures"] == 101
    assert set(check(capsys, "ade20k", camvid)[2]) == {"class-list", "unused-labels"}
