"""Small sets that the tests of check-data damage: the built-in digits, and excerpts of real sets where they are."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mixpro_bench.cli.main import main
from mixpro_bench.datasets import digits

ROOT = os.environ.get("MIXPRO_DATA_ROOT")
SETS = ["digits", pytest.param("real", marks=pytest.mark.skipif(not ROOT, reason="MIXPRO_DATA_ROOT is not set"))]
TRAIN, VAL = 12, 6


def make(where: Path) -> Path:
    """Make the undamaged sets ``digits/{cls,det,seg}`` and, if they are there, ``real/{cls,det,seg}``."""
    made = digits.build_digits(where / "made", counts={"cls": (60, 30), "det": (TRAIN, VAL), "seg": (TRAIN, VAL)})
    shutil.copytree(made, where / "digits")
    if ROOT:
        _excerpt_imagenette(Path(ROOT) / "imagenette128", where / "real/cls")
        _excerpt_coco(Path(ROOT) / "coco_subset", where / "real/det")
        _excerpt_camvid(Path(ROOT) / "camvid", where / "real/seg")
    return where


def _excerpt_imagenette(source: Path, target: Path) -> None:
    for split, number in (("train", 6), ("val", 3)):
        with zipfile.ZipFile(source / f"{split}.zip") as archive:
            taken: dict[str, int] = {}
            for name in sorted(archive.namelist(), reverse=True):  # ImageNet's training pictures come first
                folder = name.split("/")[-2] if name.endswith((".jpg", ".JPEG")) else ""
                if folder and taken.setdefault(folder, 0) < number:
                    taken[folder] += 1
                    path = target / split / folder / name.split("/")[-1]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(archive.read(name))


def _excerpt_coco(source: Path, target: Path) -> None:
    (target / "annotations").mkdir(parents=True)
    for split, number in (("train", TRAIN), ("val", VAL)):
        content = json.loads((source / f"annotations/instances_{split}.json").read_text())
        content["images"] = content["images"][:number]
        kept = {one["id"] for one in content["images"]}
        content["annotations"] = [one for one in content["annotations"] if one["image_id"] in kept]
        (target / f"annotations/instances_{split}.json").write_text(json.dumps(content))
        (target / split).mkdir()
        for one in content["images"]:
            shutil.copy(source / split / one["file_name"], target / split)


def _excerpt_camvid(source: Path, target: Path) -> None:
    for split, number in (("training", TRAIN), ("validation", VAL)):
        for kind in ("images", "annotations"):
            (target / kind / split).mkdir(parents=True)
            for path in sorted((source / kind / split).iterdir())[:number]:
                shutil.copy(path, target / kind / split)
    shutil.copy(source / "classes.txt", target)


def check(capsys: pytest.CaptureFixture, *words: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Run check-data; return the exit status, the JSON report and the sentences of errors and warnings by code."""
    status = main(["check-data", *map(str, words), "--json"])
    report = json.loads(capsys.readouterr().out)
    found = {one["code"]: one["text"] for one in report["findings"] if one["level"] != "note"}
    for text in found.values():
        assert "\n" not in text
    assert status == (0 if report["ok"] else 1)
    return status, report, found


def pictures(folder: Path) -> list[Path]:
    """Return the sorted pictures under a folder."""
    return sorted(path for path in folder.rglob("*") if path.suffix in (".png", ".jpg", ".JPEG"))


def cut(path: Path) -> None:
    """Take away the last third of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def exchange(one: Path, other: Path) -> None:
    """Exchange two folders or files."""
    spare = one.with_name("spare")
    one.rename(spare)
    other.rename(one)
    spare.rename(other)
