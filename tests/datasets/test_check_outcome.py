"""What a check found is remembered until the data change."""

from __future__ import annotations

import json
import os

import pytest
from PIL import Image

from mixpro_bench.cli.main import main
from mixpro_bench.datasets.check.outcome import recall, remember


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXPRO_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path):
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for number in range(2):
                Image.new("RGB", (8, 8), (number, 9, 9)).save(tmp_path / "data" / split / name / f"{number}.png")
    return tmp_path / "data"


def test_the_command_leaves_its_outcome_behind(data, capsys):
    assert recall(data) is None
    assert main(["check-data", "imagenet", str(data), "--classes", "2"]) == 0
    assert recall(data) == "passed"
    assert recall(data / "../data") == "passed"
    assert main(["check-data", "imagenet", str(data), "--classes", "3"]) == 1
    assert recall(data) == "failed"
    capsys.readouterr()


def test_changed_data_are_unchecked(data):
    remember(data, True, deep=False)
    assert recall(data) == "passed"
    Image.new("RGB", (8, 8)).save(data / "train/cat/new.png")
    assert recall(data) is None
    remember(data, True, deep=False)
    (data / "classes.txt").write_text("cat\ndog\n")
    assert recall(data) is None
    remember(data, True, deep=False)
    os.utime(data / "classes.txt", ns=(1, 1))
    assert recall(data) is None
    remember(data, True, deep=False)
    (data / ".cache").mkdir()
    assert recall(data) == "passed", "what is hidden is no data"


def test_a_damaged_memory_is_none_and_a_full_disk_no_error(data, tmp_path, monkeypatch):
    remember(data, False, deep=True)
    (path,) = (tmp_path / "cache/check-data").glob("*.json")
    assert json.loads(path.read_text())["deep"] is True
    path.write_text("{")
    assert recall(data) is None
    monkeypatch.setenv("MIXPRO_CACHE_DIR", "/dev/null/nowhere")
    remember(data, True, deep=False)
    assert recall(data) is None


def test_a_run_is_told(data, tmp_path):
    pytest.importorskip("mmengine")
    from mixpro_bench.hooks.provenance import data_check

    class Run:
        cfg = {
            "train_dataloader": {"dataset": {"type": "mixpro_bench.ImageFolder", "root": str(data), "split": "train"}}
        }

    assert data_check(Run) is None
    remember(data, False, deep=False)
    assert data_check(Run) == "failed"
    remember(data, True, deep=False)
    assert data_check(Run) == "passed"
    Run.cfg["val_dataloader"] = {"dataset": {"root": str(tmp_path), "split": "data"}}
    assert data_check(Run) is None, "a part of the data was not checked"
