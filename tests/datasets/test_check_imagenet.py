from __future__ import annotations

import json
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from mixpro_bench.datasets.check.known import imagenet_synsets

sys.path.insert(0, str(Path(__file__).parent))
from check_sets import ROOT, SETS, check, cut, exchange, make, pictures

KIND = ("--classes", "10")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("sets"))


@pytest.fixture(params=SETS)
def data(request: pytest.FixtureRequest, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIXPRO_CACHE_DIR", str(tmp_path / "cache"))
    return shutil.copytree(made / request.param / "cls", tmp_path / "data")


def pack(data: Path, kind: str) -> None:
    for split in ("train", "val"):
        if kind == "tar":
            with tarfile.open(data / f"{split}.tar", "w") as archive:
                archive.add(data / split, f"./{split}")
        else:
            with zipfile.ZipFile(data / f"{split}.zip", "w") as archive:
                for path in pictures(data / split):
                    archive.write(path, path.relative_to(data / split).as_posix())
        shutil.rmtree(data / split)


@pytest.mark.parametrize("kind", ["folders", "zip", "tar"])
def test_good(data: Path, capsys: pytest.CaptureFixture, kind: str) -> None:
    if kind != "folders":
        pack(data, kind)
    status, report, found = check(capsys, "imagenet", data, *KIND, "--deep")
    assert (status, found) == (0, {})
    expected = {"stored": kind, "pictures": 60, "classes": 10, "least_a_class": 6, "most_a_class": 6}
    assert report["counts"]["train"] == expected
    assert report["looked_at"] == 90


def test_a_wrong_root_says_where_to_look(data: Path, capsys: pytest.CaptureFixture) -> None:
    status, _, found = check(capsys, "imagenet", data.parent, *KIND)
    assert status == 1
    assert "'data'" in found["missing"]
    for name in ("n01440764", "n01443537"):
        (data / "split" / name).mkdir(parents=True)
    assert "give the folder above" in check(capsys, "imagenet", data / "split", *KIND)[2]["missing"]
    (data / "up/ILSVRC/Data/CLS-LOC").mkdir(parents=True)
    assert "ILSVRC/Data/CLS-LOC" in check(capsys, "imagenet", data / "up", *KIND)[2]["missing"]
    (data / "val").rename(data / "validation")
    assert "--val" in check(capsys, "imagenet", data, *KIND)[2]["missing"]
    assert check(capsys, "imagenet", data, *KIND, "--val", "validation")[0] == 0


def test_swapped(data: Path, capsys: pytest.CaptureFixture) -> None:
    exchange(data / "train", data / "val")
    status, _, found = check(capsys, "imagenet", data, *KIND)
    assert (status, set(found)) == (1, {"swapped"})
    assert check(capsys, "imagenet", data, *KIND, "--train", "val", "--val", "train")[0] == 0


def test_swapped_by_names(data: Path, capsys: pytest.CaptureFixture) -> None:
    for number, path in enumerate(pictures(data / "train")):
        path.rename(path.with_name(f"ILSVRC2012_val_{number:08d}{path.suffix}"))
    assert set(check(capsys, "imagenet", data, *KIND)[2]) == {"swapped"}


def test_classes(data: Path, capsys: pytest.CaptureFixture) -> None:
    last = sorted((data / "val").iterdir())[-1]
    shutil.rmtree(last)
    status, _, found = check(capsys, "imagenet", data, *KIND)
    assert (status, set(found)) == (1, {"classes", "classes-differ"})
    assert last.name in found["classes-differ"]
    last.mkdir()
    assert set(check(capsys, "imagenet", data, *KIND)[2]) == {"empty-class"}
    assert set(check(capsys, "imagenet", data)[2]) >= {"classes"}


@pytest.mark.parametrize("kind", ["folders", "zip", "tar"])
def test_truncated_and_loose(data: Path, capsys: pytest.CaptureFixture, kind: str) -> None:
    shown, hidden = pictures(data / "train")[0], pictures(data / "train")[1]
    cut(shown)
    Image.new("RGB", (9, 9)).save(data / "val/loose.png")
    Image.effect_noise((64, 64), 50).convert("RGB").save(hidden.with_suffix(".jpg"), "jpeg")
    cut(hidden.with_suffix(".jpg"))
    if hidden.suffix != ".jpg":
        hidden.unlink()
    if kind != "folders":
        pack(data, kind)
    status, _, found = check(capsys, "imagenet", data, *KIND)
    assert (status, set(found)) == (1, {"unreadable", "loose"})
    found = check(capsys, "imagenet", data, *KIND, "--deep")[2]
    assert shown.name in found["unreadable"]
    assert hidden.with_suffix(".jpg").name in found["unreadable"]
    assert "2 pictures" in found["unreadable"]


def test_an_archive_that_ends_early(data: Path, capsys: pytest.CaptureFixture) -> None:
    pack(data, "tar")
    cut(data / "train.tar")
    status, _, found = check(capsys, "imagenet", data, *KIND)
    assert status == 1
    assert "not a readable tar" in found["missing"]


def test_class_lists(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    names = sorted(path.name for path in (data / "train").iterdir())
    listed = tmp_path / "list.txt"
    words = ("imagenet", data, *KIND, "--class-file")
    for text in (
        "\n".join(names),
        "\n".join(f"{name} a thing" for name in names),
        "\n".join(f"{number} {name} a thing" for number, name in reversed(list(enumerate(names)))),
    ):
        listed.write_text(text)
        assert check(capsys, *words, listed)[0] == 0
    listed.write_text("\n".join(reversed(names)))
    assert set(check(capsys, *words, listed)[2]) == {"class-order"}
    table = tmp_path / "list.json"
    for content in (names, {name: i for i, name in enumerate(names)}, {str(i): [n, "x"] for i, n in enumerate(names)}):
        table.write_text(json.dumps(content))
        assert check(capsys, *words, table)[0] == 0
    table.write_text(json.dumps({str(i): [n, "x"] for i, n in enumerate(imagenet_synsets())}))
    status, _, found = check(capsys, *words, table)
    assert (status, set(found)) == (1, {"class-list"})
    # Found beside the data instead of told, it is a warning: a run does not read it.
    shutil.copy(table, data / "imagenet_class_index.json")
    (data / "classes.txt").unlink(missing_ok=True)
    status, _, found = check(capsys, "imagenet", data, *KIND)
    assert (status, set(found)) == (0, {"class-list"})


@pytest.fixture
def thousand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ImageNet-1k with one picture a class."""
    monkeypatch.setenv("MIXPRO_CACHE_DIR", str(tmp_path / "cache"))
    Image.new("RGB", (4, 4)).save(tmp_path / "one.png")
    content = (tmp_path / "one.png").read_bytes()
    for split in ("train", "val"):
        with zipfile.ZipFile(tmp_path / f"{split}.zip", "w") as archive:
            for name in imagenet_synsets():
                archive.writestr(f"{name}/{name}.png", content)
    return tmp_path


def without(path: Path, word: str, instead: str | None = None) -> None:
    """Pack a zip again without the members, or with other names for them."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in content.items():
            if word not in name or instead is not None:
                archive.writestr(name.replace(word, instead or ""), body)


def test_imagenet_with_999_classes(thousand: Path, capsys: pytest.CaptureFixture) -> None:
    assert check(capsys, "imagenet", thousand)[0] == 0
    for split in ("train", "val"):
        without(thousand / f"{split}.zip", "n02085620")
    status, _, found = check(capsys, "imagenet", thousand)
    assert (status, set(found)) == (1, {"classes"})
    assert "999" in found["classes"]
    assert "n02085620" in found["classes"]


def test_a_thousand_classes_of_another_set(thousand: Path, capsys: pytest.CaptureFixture) -> None:
    for split in ("train", "val"):
        without(thousand / f"{split}.zip", "n02085620", "n00000001")
    status, _, found = check(capsys, "imagenet", thousand)
    assert (status, set(found)) == (1, {"other-classes"})
    assert "n00000001" in found["other-classes"]


@pytest.mark.skipif(not ROOT, reason="MIXPRO_DATA_ROOT is not set")
def test_the_real_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("MIXPRO_CACHE_DIR", str(tmp_path))
    status, report, found = check(capsys, "imagenet", Path(ROOT or "") / "imagenette128", *KIND)
    assert (status, found) == (0, {})
    assert report["counts"]["val"]["pictures"] == 1500
