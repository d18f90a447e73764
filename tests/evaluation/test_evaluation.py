"""Evaluating finished runs again: tiny real ones, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mixpro_bench.cli.main import main
from mixpro_bench.datasets.digits import build_digits
from mixpro_bench.errors import UserError
from mixpro_bench.evaluation import Evaluation, config_of, evaluate, rows

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "pretrain": ROOT / "configs/pretrain/digits/vit_digits_none.py",
    "det": ROOT / "configs/transfer/det/mask-rcnn_vit-digits_digits.py",
    "seg": ROOT / "configs/transfer/seg/upernet_vit-digits_digits.py",
}
LOADER = [
    "train_dataloader.batch_size=2",
    "train_dataloader.num_workers=0",
    "train_dataloader.persistent_workers=False",
]
LENGTH = {
    "pretrain": ["train_cfg.max_epochs=1", "train_cfg.val_interval=1", "val_dataloader.batch_size=8"],
    "det": ["train_cfg.max_iters=2", "train_cfg.val_interval=2"],
    "seg": ["train_cfg.max_iters=2", "train_cfg.val_interval=2"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("digits")
    made = build_digits(root, counts=dict(cls=(12, 12), det=(6, 3), seg=(6, 3)))
    (root / "v1-seed0").symlink_to(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIXPRO_DIGITS", str(root))
        yield made


def train(task: str, work: Path) -> Path:
    command = ["pretrain"] if task == "pretrain" else ["transfer"]
    command += [str(CONFIGS[task]), *(["--from-scratch"] if task != "pretrain" else []), "--work-dir", str(work)]
    assert main([*command, "--cfg-options", *LOADER, *LENGTH[task]]) == 0
    return work


def listing(work: Path) -> dict[str, int]:
    return {str(path.relative_to(work)): path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}


@pytest.mark.mm
@pytest.mark.slow
@pytest.mark.parametrize("task", ["pretrain", "det", "seg"])
def test_a_run_is_confirmed_and_its_predictions_are_kept(task, data, tmp_path, capsys):
    work = train(task, tmp_path / "run")
    before = listing(work)
    dump = tmp_path / {"pretrain": "scores.npz", "det": "found.json", "seg": "masks"}[task]
    show = [] if task == "pretrain" else ["--show", "2", "--show-dir", str(tmp_path / "drawn")]
    capsys.readouterr()
    assert main(["evaluate", str(work), "--dump", str(dump), *show]) == 0
    said = capsys.readouterr().out
    assert "the Record is confirmed" in said
    assert listing(work) == before
    if task == "pretrain":
        kept = np.load(dump)
        assert kept["scores"].shape == (12, 10)
        assert sorted(kept["indices"]) == list(range(12))
        record = json.loads((work / "record.json").read_text())
        assert "predictions" not in record or record["predictions"] is None, "what lies elsewhere is not named"
        assert main(["evaluate", str(work), "--dump", str(work / "kept/scores.npz")]) == 0
        named = json.loads((work / "record.json").read_text())
        assert named == record | {"predictions": "kept/scores.npz"}
        assert (work / named["predictions"]).is_file()
        right = float((kept["scores"].argmax(1) == kept["labels"]).mean() * 100)
        assert right == pytest.approx(record["metrics"]["top1"])
        assert list(work.glob("*.pth.card.json"))  # the model card of the pretraining
    if task == "det":
        for kind in ("bbox", "segm"):
            assert isinstance(json.loads((tmp_path / f"found.{kind}.json").read_text()), list)
    if task == "seg":
        masks = sorted(dump.glob("*.png"))
        assert len(masks) == 3
        assert int(np.asarray(Image.open(masks[0])).max()) <= 10
    if show:
        drawn = sorted((tmp_path / "drawn").glob("*.png"))
        assert len(drawn) == 2
        # What is there stands beside what was found.
        width, height = Image.open(drawn[0]).size
        assert width == 2 * height
    assert main(["evaluate", str(work), "--dump", str(dump), *show]) == 2
    assert "is not overwritten" in capsys.readouterr().err

    # A Record that tells something else is contradicted.
    record = json.loads((work / "record.json").read_text())
    metric = {"pretrain": "top1", "det": "coco/bbox_mAP", "seg": "mIoU"}[task]
    record["metrics"][metric] = 99.5
    (work / "record.json").write_text(json.dumps(record))
    capsys.readouterr()
    assert main(["evaluate", str(work)]) == 1
    said = capsys.readouterr().out
    assert any(metric in line and line.rstrip().endswith("DIFFERS") for line in said.splitlines())


def test_verdicts():
    now = Evaluation({"a": 0.4123, "b": 2.0, "d": 1.0}, {"a": 0.412, "b": 3.0, "c": 1.0}, Path("x"), ())
    assert set(now.differences()) == {"b", "c", "d"}
    assert [line[3] for line in rows(now)] == ["agrees", "DIFFERS", "DIFFERS", "DIFFERS"]
    alone = Evaluation({"a": 1.0}, None, Path("x"), ())
    assert rows(alone) == [("a", "-", "1", "")]


def test_work_dirs_that_cannot_be_evaluated(tmp_path):
    with pytest.raises(UserError, match="is no folder"):
        config_of(tmp_path / "absent")
    with pytest.raises(UserError, match="holds no config"):
        config_of(tmp_path)
    (tmp_path / "a.py").write_text("")
    assert config_of(tmp_path).name == "a.py"
    (tmp_path / "b.py").write_text("")
    with pytest.raises(UserError, match=r"several configs \(a\.py, b\.py\)"):
        config_of(tmp_path)
    (tmp_path / "config.py").write_text("")
    assert config_of(tmp_path).name == "config.py"


@pytest.mark.mm
def test_no_checkpoint_and_wrong_wishes(tmp_path):
    (tmp_path / "config.py").write_text("bench = dict(task='pretrain')\n")
    with pytest.raises(UserError, match="no checkpoint to evaluate"):
        evaluate(tmp_path)
    (tmp_path / "a.pth").write_bytes(b"x")
    with pytest.raises(UserError, match="--show draws detections and segmentations"):
        evaluate(tmp_path, checkpoint=tmp_path / "a.pth", show=2)
    with pytest.raises(UserError, match=r"go into a \.npz or a \.safetensors file"):
        evaluate(tmp_path, checkpoint=tmp_path / "a.pth", dump=tmp_path / "scores.pkl")
