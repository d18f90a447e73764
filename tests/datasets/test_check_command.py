"""The command that a plan names for data that nobody has checked."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from mixpro_bench.cli.main import build_parser
from mixpro_bench.datasets.check.command import open_check
from mixpro_bench.datasets.check.outcome import remember


def told(cfg: dict, task: str) -> str | None:
    """The command of a sentence; it is one that the command line takes."""
    sentence = open_check(cfg, task)
    if sentence is None:
        return None
    command = sentence.split(": ", 2)[2]
    build_parser("check-data").parse_args(shlex.split(command)[1:])
    return command


def imagenet(root: object, **more: object) -> dict:
    sets = {"train": {"root": str(root), "split": "train", **more}, "val": {"root": str(root), "split": "val", **more}}
    return {f"{split}_dataloader": {"dataset": dataset} for split, dataset in sets.items()}


def coco(root: str, ann: str, images: str, **more: object) -> dict:
    return {
        f"{split}_dataloader": {
            "dataset": {
                "type": "RepeatDataset",
                "dataset": {
                    "data_root": root,
                    "ann_file": ann.format(split),
                    "data_prefix": {"img": images.format(split)},
                    **more,
                },
            }
        }
        for split in ("train", "val")
    }


def ade(root: str, **more: object) -> dict:
    names = {"train": "training", "val": "validation"}
    return {
        f"{split}_dataloader": {"dataset": {"data_root": root, "data_prefix": {"img_path": f"images/{name}"}, **more}}
        for split, name in names.items()
    }


@pytest.mark.parametrize(
    ("cfg", "task", "command"),
    [
        (imagenet("in/1k"), "pretrain", "imagenet in/1k"),
        (imagenet("a b", classes=("x", "y")), "pretrain", "imagenet 'a b' --classes 2"),
        (coco("data/coco/", "annotations/instances_{}2017.json", "{}2017/"), "det", "coco data/coco"),
        (
            coco("/c", "/c/ann/{}.json", "{}", metainfo={"classes": ("a", "b", "c")}),
            "det",
            "coco /c --train train --train-ann ann/train.json --val val --val-ann ann/val.json --classes 3",
        ),
        # Merged categories: the file is the suite's own, and the set's has more.
        (coco("/c", "/work/{}.json", "{}2017", metainfo={"classes": ("a", "b")}), "det", "coco /c"),
        (ade("ade", type="mmseg.ADE20KDataset"), "seg", "ade20k ade"),
        (
            ade("camvid", reduce_zero_label=False, metainfo={"classes": "abc"}),
            "seg",
            "ade20k camvid --keep-zero-label --classes 3",
        ),
    ],
)  # fmt: skip
def test_the_command_fits_the_config(cfg, task, command):
    assert told(cfg, task) == f"mixpro-bench check-data {command}"


def test_what_was_checked_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXPRO_CACHE_DIR", str(tmp_path / "cache"))
    root = tmp_path / "in1k"
    cfg = imagenet(root)
    assert "check the data once they are there" in str(open_check(cfg, "pretrain"))
    (root / "train").mkdir(parents=True)
    assert "were not checked" in str(open_check(cfg, "pretrain"))
    remember(root, passed=False, deep=False)
    assert "failed their check" in str(open_check(cfg, "pretrain"))
    remember(root, passed=True, deep=False)
    assert open_check(cfg, "pretrain") is None
    (root / "val").mkdir()
    assert "were not checked, or have changed since" in str(open_check(cfg, "pretrain"))


def test_built_in_data_and_others_need_no_check(tmp_path):
    Path(tmp_path, "manifest.json").touch()
    assert open_check(imagenet(tmp_path / "cls"), "pretrain") is None
    assert open_check({}, "pretrain") is None
    assert open_check(imagenet("x"), "depth") is None
