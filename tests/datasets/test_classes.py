"""Data that a run must not train on: refused in one sentence, before the first step or at it; nothing is written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mixpro_bench.cli.main import main
from mixpro_bench.datasets.classes import check_classes
from mixpro_bench.datasets.digits import build_digits
from mixpro_bench.errors import UserError

ROOT = Path(__file__).parents[2]
CLS = "configs/pretrain/digits/vit_digits_none.py"
DET = "configs/transfer/det/mask-rcnn_vit-digits_digits.py"
SEG = "configs/transfer/seg/upernet_vit-digits_digits.py"
SHORT = {
    "pretrain": ["train_cfg.max_epochs=1", "train_cfg.val_interval=1", "param_scheduler=[]"],
    "transfer": ["train_cfg.max_iters=1", "train_cfg.val_interval=1", "param_scheduler=[]"],
}


def dataset(*classes: str, **more):
    return SimpleNamespace(metainfo=dict(classes=classes), **more)


def test_classes_of_data_and_model():
    two, head = dataset("a", "b"), SimpleNamespace(num_classes=2)
    detector = SimpleNamespace(roi_head=SimpleNamespace(bbox_head=head, mask_head=SimpleNamespace(num_classes=3)))
    check_classes(two, head, "train_dataloader")
    check_classes(two, SimpleNamespace(module=head), "train_dataloader", two)
    check_classes(SimpleNamespace(), head, "train_dataloader")
    check_classes(two, SimpleNamespace(), "train_dataloader")
    with pytest.raises(UserError, match=r"has 1 classes and model\.num_classes is 2"):
        check_classes(dataset("a"), head, "train_dataloader")
    with pytest.raises(UserError, match=r"model\.roi_head\.mask_head\.num_classes is 3"):
        check_classes(two, detector, "train_dataloader")
    with pytest.raises(UserError, match=r"2 classes, of which the annotation file 'x\.json' has 1"):
        check_classes(dataset("a", "b", cat_ids=[7], ann_file="x.json"), head, "train_dataloader")
    with pytest.raises(
        UserError, match=r"val_dataloader\.dataset and of train_dataloader\.dataset differ in \['b', 'c'\]"
    ):
        check_classes(dataset("a", "c"), head, "val_dataloader", two)
    with pytest.raises(UserError, match="have another order"):
        check_classes(dataset("b", "a"), head, "val_dataloader", two)


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    """A small set of digits where the configs look for it."""
    made = build_digits(tmp_path, counts=dict(cls=(48, 24), det=(6, 3), seg=(6, 3)))
    (tmp_path / "v1-seed0").symlink_to(made)
    monkeypatch.setenv("MIXPRO_DIGITS", str(tmp_path))
    monkeypatch.chdir(ROOT)
    return made


def refused(tmp_path, capsys, config: str, *options: str, workers: int = 0) -> str:
    """Start a run that must be refused, and return its one sentence."""
    command = "pretrain" if config == CLS else "transfer"
    words = [command, config, *(["--from-scratch"] if command == "transfer" else [])]
    loader = [f"train_dataloader.num_workers={workers}", "train_dataloader.persistent_workers=False"]
    loader += ["train_dataloader.batch_size=4"] if command == "pretrain" else ["train_dataloader.batch_size=2"]
    options = [*SHORT[command], *loader, *options]
    assert main([*words, "--work-dir", str(tmp_path / "run"), "--cfg-options", *options]) == 2
    assert not list((tmp_path / "run").glob("*.pth"))
    assert not (tmp_path / "run/record.json").exists()
    sentence = capsys.readouterr().err.strip().splitlines()[-1]
    assert sentence.startswith("mixpro-bench: ")
    return sentence


@pytest.mark.mm
def test_a_set_that_lacks_a_class_is_not_trained_on(data, tmp_path, capsys):
    """As an ImageNet folder with 999 classes: every label behind the missing one would be shifted."""
    for split in ("train", "val"):
        shutil.rmtree(data / "cls" / split / "4")
    assert "has 9 classes and model.num_classes is 10" in refused(tmp_path, capsys, CLS)


@pytest.mark.mm
def test_splits_of_different_classes_are_not_trained_on(data, tmp_path, capsys):
    (data / "cls/val/4").rename(data / "cls/val/four")
    assert "differ in ['4', 'four']" in refused(tmp_path, capsys, CLS)


@pytest.mark.mm
def test_a_truncated_picture_is_named_from_within_a_worker(data, tmp_path, capsys):
    for path in (data / "cls/train").rglob("*.png"):
        path.write_bytes(path.read_bytes()[:200])
    assert "cannot read the picture" in refused(tmp_path, capsys, CLS, workers=1)


@pytest.mark.mm
@pytest.mark.parametrize(
    ("renamed", "sentence"),
    [(2, "names 10 classes, of which the annotation file"), (10, "holds no annotation of the classes")],
)
def test_a_class_list_of_another_set_is_not_trained_on(data, tmp_path, capsys, renamed, sentence):
    path = data / "det/annotations/instances_train.json"
    content = json.loads(path.read_text())
    for category in content["categories"][:renamed]:
        category["name"] = f"letter {category['name']}"
    path.write_text(json.dumps(content))
    told = refused(tmp_path, capsys, DET)
    assert sentence in told
    assert "another data set" in told


@pytest.mark.mm
@pytest.mark.parametrize("kind", ["out of range", "16 bit", "palette"])
def test_masks_of_another_kind(data, tmp_path, capsys, kind):
    """Palette images hold their labels as grey ones do; what is out of range stops the run in one sentence."""
    for path in (data / "seg/annotations/training").glob("*.png"):
        mask = np.array(Image.open(path))
        if kind == "palette":
            image = Image.fromarray(mask, "P")
            image.putpalette([0, 0, 0] * 256)
        else:
            mask[:9] = 200
            image = Image.fromarray(mask if kind == "out of range" else mask.astype(np.uint16) * 300)
        image.save(path)
    if kind != "palette":
        told = refused(tmp_path, capsys, SEG)
        assert "for which the model has no class" in told
        assert "check-data" in told
        return
    options = [*SHORT["transfer"], "train_dataloader.num_workers=0", "train_dataloader.persistent_workers=False"]
    options.append("train_dataloader.batch_size=2")
    words = ["transfer", SEG, "--from-scratch", "--work-dir", str(tmp_path / "run"), "--cfg-options", *options]
    assert main(words) == 0


@pytest.mark.mm
def test_an_annotation_file_with_the_pictures_of_the_other_split(data, tmp_path, capsys):
    for path in (data / "det/train").iterdir():
        path.rename(path.with_name(f"renamed-{path.name}"))
    assert "does not exist" in refused(tmp_path, capsys, DET)
