"""Detectors and segmenters under corruptions: the step of the pipeline, and tiny real runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mixpro_bench.cli.main import main
from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.record import read_record
from mixpro_bench.leaderboard.table import build_tables
from mixpro_bench.robustness.dense import evaluate_corrupted, summary

pytest.importorskip("imagecorruptions")

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "det": ROOT / "configs/transfer/det/mask-rcnn_vit-digits_digits.py",
    "seg": ROOT / "configs/transfer/seg/upernet_vit-digits_digits.py",
}
SHORT = [
    "train_dataloader.batch_size=2",
    "train_dataloader.num_workers=0",
    "train_dataloader.persistent_workers=False",
    "train_cfg.max_iters=2",
    "train_cfg.val_interval=2",
]


def test_metrics_are_means_and_shares_of_clean():
    found = summary(
        {
            "clean": {"a": 0.4, "b": -1.0, "c": 0.0},
            "fog/1": {"a": 0.3, "b": -1.0, "c": 0.0},
            "snow/1": {"a": 0.2, "b": -1.0, "c": 0.0},
        }
    )
    assert found["corruptions/mean/a"] == pytest.approx(0.25)
    assert found["corruptions/relative/a"] == pytest.approx(62.5)
    assert (found["corruptions/clean/a"], found["corruptions/fog/1/a"]) == (0.4, 0.3)
    assert not any(key.endswith("/b") for key in found), "what the evaluator does not know is not averaged"
    assert "corruptions/relative/c" not in found


def test_the_step_corrupts_by_the_name_of_the_file():
    from mixpro_bench.datasets.corrupt import Corrupt
    from mixpro_bench.rng import seed32
    from mixpro_bench.robustness.corrupt import corrupt

    image = np.random.default_rng(0).integers(0, 256, (70, 80, 3), dtype=np.uint8)

    def after(step, path, picture=image):
        return step(dict(img=picture.copy(), img_path=path))["img"]

    step = Corrupt("frost", 3, seed=4)
    assert np.array_equal(after(step, "a/7.png"), after(step, "b/7.png"))
    assert not np.array_equal(after(step, "a/7.png"), after(step, "a/8.png"))
    seed = seed32(4, "corruption frost of 7.png", 3)
    assert np.array_equal(after(step, "a/7.png")[..., ::-1], corrupt(image[..., ::-1], "frost", 3, seed)), "BGR"
    assert np.array_equal(after(Corrupt("frost", 0), "7.png"), image)
    with pytest.raises(UserError, match="no corruption"):
        Corrupt("mist", 1)


def test_what_is_no_finished_transfer_is_refused(tmp_path):
    (tmp_path / "config.py").write_text('bench = dict(task="pretrain")\n')
    with pytest.raises(UserError, match="mixpro-bench robustness"):
        evaluate_corrupted(tmp_path)
    (tmp_path / "config.py").write_text('bench = dict(task="det")\n')
    with pytest.raises(UserError, match="leaves a Record"):
        evaluate_corrupted(tmp_path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    from mixpro_bench.datasets.digits import build_digits

    root = tmp_path_factory.mktemp("digits")
    made = build_digits(root, counts=dict(cls=(4, 12), det=(6, 3), seg=(6, 3)))
    (root / "v1-seed0").symlink_to(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIXPRO_DIGITS", str(root))
        yield made


@pytest.mark.mm
@pytest.mark.slow
@pytest.mark.parametrize("task", ["det", "seg"])
def test_a_run_under_corruptions(task, data, tmp_path, capsys, monkeypatch):
    work = tmp_path / "run"
    command = ["transfer", str(CONFIGS[task]), "--from-scratch", "--work-dir", str(work), "--cfg-options", *SHORT]
    assert main(command) == 0
    clean = read_record(work / "record.json")
    asked = ["evaluate", str(work), "--corruptions", "contrast", "fog", "--severities", "5"]

    # Interrupted before the last evaluation, and taken up again.
    import mixpro_bench.robustness.dense as dense

    order, plain = [], dense._set

    def stop_at_the_last(runner, where):
        order.append(where)
        if order == ["clean", "contrast/5", "fog/5"]:
            raise KeyboardInterrupt
        plain(runner, where)

    monkeypatch.setattr(dense, "_set", stop_at_the_last)
    with pytest.raises(KeyboardInterrupt):
        evaluate_corrupted(work, ["contrast", "fog"], [5])
    kept = json.loads((work / "corruptions/partial.json").read_text())["found"]
    assert list(kept) == ["clean", "contrast/5"]
    capsys.readouterr()
    assert main(asked) == 0
    assert order == ["clean", "contrast/5", "fog/5", "fog/5"]
    assert "relative to clean" in capsys.readouterr().out

    record = read_record(work / "corruptions/record.json")
    key = {"det": "coco/bbox_mAP", "seg": "mIoU"}[task]
    assert record.stage == f"{task}-corruptions"
    assert record.metrics[f"corruptions/clean/{key}"] == pytest.approx(clean.metrics[key], abs=2e-3)
    each = [record.metrics[f"corruptions/{name}/5/{key}"] for name in ("contrast", "fog")]
    assert record.metrics[f"corruptions/mean/{key}"] == pytest.approx(np.mean(each))
    if task == "seg":
        assert each != [record.metrics[f"corruptions/clean/{key}"]] * 2, "the images did change"
    (table,) = build_tables([clean, record])
    (row,) = table.rows
    assert {"det": "box_ap_corrupted", "seg": "miou_corrupted"}[task] in row.cells

    assert main(asked) == 0, "what is done is not done again"
    assert len(order) == 4
    assert main([*asked[:-1], "4"]) == 2
    assert "answers another question" in capsys.readouterr().err
