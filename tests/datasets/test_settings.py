from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mixpro_bench.datasets import digits
from mixpro_bench.datasets.ade import read_class_file
from mixpro_bench.datasets.coco import merge_categories, read_categories
from mixpro_bench.datasets.fingerprint import check_data, fingerprint, fingerprint_config
from mixpro_bench.datasets.settings import palette, use_classification, use_detection, use_segmentation
from mixpro_bench.errors import UserError

CONFIGS = Path(__file__).parents[2] / "configs/_base_/datasets"
DET = {
    "root": "set/det",
    "train": {"ann": "annotations/instances_train.json", "images": "train"},
    "val": {"ann": "annotations/instances_val.json", "images": "val"},
}
SEG = {
    "root": "set/seg",
    "train": ("images/training", "annotations/training"),
    "val": ("images/validation", "annotations/validation"),
    "classes": ["paper", *"0123456789"],
}
CLS = {"root": "set/cls", "train": "train", "val": "val"}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits.build_digits(tmp_path_factory.mktemp("made"), counts={"cls": (20, 10), "det": (4, 2), "seg": (4, 2)})


@pytest.fixture
def data(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set that a test may damage, and where MIXPRO_DATA_ROOT points to."""
    shutil.copytree(made, tmp_path / "set")
    monkeypatch.setenv("MIXPRO_DATA_ROOT", str(tmp_path))
    return tmp_path / "set"


def config(kind: str) -> Config:
    """The data part of a config, with a model in the shape of mmdet's or mmseg's."""
    cfg = Config.fromfile(CONFIGS / f"digits_{kind}.py")
    if kind == "det":
        heads = {"bbox_head": {"num_classes": 80}, "mask_head": {"in_channels": 8}}
        cfg.model = {"backbone": {"num_classes": 0}, "rpn_head": {"num_classes": 1}, "roi_head": heads}
    elif kind == "seg":
        cfg.model = {"decode_head": {"num_classes": 150}, "auxiliary_head": [{"num_classes": 150}]}
    else:
        cfg.model = {"backbone": {"num_classes": 1000}, "labeler": {"num_classes": 1000}}
    return cfg


def edit(path: Path, change: object) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_digits_configs_name_the_set_that_is_made() -> None:
    for kind in ("cls", "det", "seg"):
        cfg = Config.fromfile(CONFIGS / f"digits_{kind}.py")
        assert cfg.data_root.rstrip("/") == f"data/digits/{digits.set_name()}/{kind}"


def test_classification(data: Path) -> None:
    before = config("cls")
    cfg = use_classification(before, CLS)
    assert cfg.train_dataloader.dataset.root == cfg.val_dataloader.dataset.root == str(data / "cls")
    assert (cfg.train_dataloader.dataset.split, cfg.val_dataloader.dataset.split) == ("train", "val")
    assert cfg.model.backbone.num_classes == cfg.model.labeler.num_classes == 10
    assert before.model.backbone.num_classes == 1000
    shutil.rmtree(data / "cls/val/3")
    with pytest.raises(UserError, match=r"differ in the classes \['3'\]"):
        use_classification(before, CLS)


def test_detection(data: Path, tmp_path: Path) -> None:
    cfg = use_detection(config("det"), DET, tmp_path / "cache")
    assert cfg.model.roi_head.bbox_head.num_classes == cfg.model.roi_head.mask_head.num_classes == 10
    assert (cfg.model.rpn_head.num_classes, cfg.model.backbone.num_classes) == (1, 0)
    assert cfg.val_evaluator.ann_file == cfg.test_evaluator.ann_file == cfg.val_dataloader.dataset.ann_file
    assert cfg.val_evaluator.ann_file == str(data / "det/annotations/instances_val.json")
    check_data(cfg)
    assert not (tmp_path / "cache").exists()


def test_detection_merged(data: Path, tmp_path: Path) -> None:
    source = data / "det/annotations/instances_train.json"
    before = source.read_bytes()
    cfg = use_detection(config("det"), {**DET, "merge": "supercategory"}, tmp_path / "cache")
    assert cfg.train_dataloader.dataset.metainfo.classes == ["digit"]
    assert cfg.model.roi_head.bbox_head.num_classes == 1
    merged = Path(cfg.train_dataloader.dataset.ann_file)
    assert merged.parent == tmp_path / "cache"
    assert source.read_bytes() == before
    stamp = merged.stat().st_mtime_ns
    use_detection(config("det"), {**DET, "merge": "supercategory"}, tmp_path / "cache")
    assert merged.stat().st_mtime_ns == stamp


def test_merge_keeps_everything_but_the_categories(tmp_path: Path) -> None:
    categories = [("cat", 7, "animal"), ("car", 3, "vehicle"), ("dog", 90, "animal")]
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"id": i, "category_id": c, "bbox": [i, 0, 1, 1]} for i, c in enumerate((90, 3, 7))],
        "categories": [{"name": name, "id": i, "supercategory": above} for name, i, above in categories],
    }
    (tmp_path / "in.json").write_text(json.dumps(content))
    assert read_categories(tmp_path / "in.json") == ("cat", "car", "dog")
    assert merge_categories(tmp_path / "in.json", tmp_path / "out.json") == ("animal", "vehicle")
    merged = json.loads((tmp_path / "out.json").read_text())
    assert [one["category_id"] for one in merged["annotations"]] == [1, 2, 1]
    assert [one["bbox"] for one in merged["annotations"]] == [one["bbox"] for one in content["annotations"]]
    assert merged["images"] == content["images"]
    assert read_categories(tmp_path / "out.json") == ("animal", "vehicle")
    with pytest.raises(UserError, match="has no 'colour'"):
        merge_categories(tmp_path / "in.json", tmp_path / "other.json", by="colour")
    assert not (tmp_path / "other.json").exists()


def test_segmentation(data: Path) -> None:
    before = config("seg")
    before.train_dataloader.dataset.pipeline[1].reduce_zero_label = True
    before.train_dataloader.dataset.type = "ADE20KDataset"
    cfg = use_segmentation(before, SEG)
    assert cfg.model.decode_head.num_classes == cfg.model.auxiliary_head[0].num_classes == 11
    dataset = cfg.train_dataloader.dataset
    assert (dataset.type, dataset.img_suffix, dataset.reduce_zero_label) == ("mmseg.BaseSegDataset", ".png", False)
    assert "reduce_zero_label" not in dataset.pipeline[1]
    assert len(dataset.metainfo.palette) == 11
    check_data(cfg)
    (data / "seg/classes.txt").write_text("".join(f"{value} digit {value - 1}\n" for value in range(1, 11)))
    cfg = use_segmentation(before, {**SEG, "classes": "classes.txt", "reduce_zero_label": True})
    assert cfg.model.decode_head.num_classes == 10
    assert cfg.val_dataloader.dataset.metainfo.classes[3] == "digit 3"


def test_class_files(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("2 building\n1 sky\n\n# done\n3 traffic light\n")
    assert read_class_file(path) == (("sky", "building", "traffic light"), (1, 2, 3))
    path.write_text("sky\ntraffic light\n")
    assert read_class_file(path) == (("sky", "traffic light"), None)
    for content, sentence in (
        ("", "names no classes"),
        ("1 a\nb\n", "'b'"),
        ("1 a\n1 b\n", "repeats"),
        ("a\na", "repeats"),
    ):
        path.write_text(content)
        with pytest.raises(UserError, match=sentence):
            read_class_file(path)


def test_palette_has_a_colour_for_each_class() -> None:
    assert len({tuple(colour) for colour in palette(150)}) == 150
    assert np.ptp(palette(11)) > 100


def test_fingerprint(data: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {"pretrain": CLS, "det": DET, "seg": SEG}
    first = fingerprint(whole)
    assert fingerprint({key: {**one, "root": str(made / one["root"][4:])} for key, one in whole.items()}) == first
    parts = {key: fingerprint(one) for key, one in whole.items()}
    resolved = fingerprint_config(use_detection(config("det"), DET, tmp_path))
    edit(data / "det/annotations/instances_val.json", lambda content: content["annotations"].pop())
    assert fingerprint(whole) != first
    assert {key for key, one in whole.items() if fingerprint(one) != parts[key]} == {"det"}
    assert fingerprint_config(use_detection(config("det"), DET, tmp_path)) != resolved
    assert fingerprint({**DET, "merge": "supercategory"}) != fingerprint(DET)
    (data / "cls/val/0").rename(data / "cls/val/a")
    assert fingerprint(CLS) != parts["pretrain"]


def test_bad_input_names_place_and_way_out(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def det(**change: object) -> Config:
        return use_detection(config("det"), {**DET, **change}, tmp_path / "cache")

    with pytest.raises(UserError, match=r"nowhere.*MIXPRO_DATA_ROOT"):
        det(root="nowhere")
    with pytest.raises(UserError, match="unknown key 'merged'"):
        det(merged="supercategory")
    with pytest.raises(UserError, match=r"data\.det\.val of the suite lacks the key 'images'"):
        det(val={"ann": "x"})
    with pytest.raises(UserError, match=r"missing\.json"):
        det(val={"ann": "annotations/missing.json", "images": "val"})
    with pytest.raises(UserError, match=r"no such|folder '.*gone' is missing or empty"):
        det(val={**DET["val"], "images": "gone"})
    edit(data / "det/annotations/instances_val.json", lambda content: content["categories"].reverse())
    with pytest.raises(UserError, match="same order"):
        det()
    (data / "det/annotations/instances_val.json").write_text("[1, 2")
    with pytest.raises(UserError, match="is not a JSON file"):
        det()
    (data / "det/annotations/instances_val.json").write_text("[1, 2]")
    with pytest.raises(UserError, match="not in COCO's format"):
        det()

    with pytest.raises(UserError, match=r"holds the value \d+, but with 3 classes"):
        use_segmentation(config("seg"), {**SEG, "classes": ["a", "b", "c"]})
    (data / "seg/classes.txt").write_text("".join(f"{value} c{value}\n" for value in range(11)))
    with pytest.raises(UserError, match=r"must be 1\.\.11"):
        use_segmentation(config("seg"), {**SEG, "classes": "classes.txt", "reduce_zero_label": True})
    (data / "seg/annotations/training/00001.png").unlink()
    with pytest.raises(UserError, match=r"00001\.png' has no mask"):
        use_segmentation(config("seg"), SEG)
    Image.new("RGB", (4, 4)).save(data / "seg/images/validation/a.jpg")
    shutil.copy(data / "seg/annotations/training/00000.png", data / "seg/annotations/training/00001.png")
    with pytest.raises(UserError, match="several suffixes"):
        use_segmentation(config("seg"), SEG)
    shutil.rmtree(data / "seg/images/validation")
    with pytest.raises(UserError, match=r"images/validation' does not exist"):
        use_segmentation(config("seg"), SEG)

    monkeypatch.delenv("MIXPRO_DATA_ROOT")
    with pytest.raises(UserError, match="MIXPRO_DATA_ROOT is not set"):
        use_classification(config("cls"), CLS)
    monkeypatch.setenv("MIXPRO_DIGITS", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"train_dataloader\.dataset names '.*none.*make-data"):
        check_data(config("seg"))
