"""Parts on one checkpoint: Records, going on after a kill, several processes, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.record import read_record
from mixpro_bench.robustness.load import load_subject
from mixpro_bench.robustness.part import MODULES, make_part
from mixpro_bench.robustness.run import run_parts
from mixpro_bench.robustness.subject import accuracy

ROOT = Path(__file__).parents[2]


def test_one_record_per_part_and_none_twice(toy, tmp_path):
    subject = load_subject(toy.config, toy.checkpoint, device="cpu", work_dir=tmp_path)
    parts = [make_part("calibration", dict(bins=5)), make_part("shuffle", dict(grids=[2]))]
    first = run_parts(subject, parts, tmp_path)
    assert [one.fresh for one in first] == [True, True]
    record = read_record(tmp_path / "shuffle" / "record.json")
    assert record.stage == "shuffle"
    assert (record.method.name, record.backbone, record.pretrain_seed) == ("none", "toy", 0)
    assert record.provenance.upstream_sha256 == subject.upstream.sha256
    assert record.metrics["shuffle/1"] == pytest.approx(accuracy(subject.scores(), subject.labels))
    (tmp_path / "calibration" / "record.json").unlink()  # as if killed between the parts
    assert [one.fresh for one in run_parts(subject, parts, tmp_path)] == [True, False]


def test_another_question_overwrites_nothing(toy, tmp_path):
    subject = load_subject(toy.config, toy.checkpoint, device="cpu", work_dir=tmp_path)
    run_parts(subject, [make_part("shuffle", dict(grids=[2]))], tmp_path)
    before = (tmp_path / "shuffle" / "record.json").read_bytes()
    with pytest.raises(UserError, match="answers another question"):
        run_parts(subject, [make_part("shuffle", dict(grids=[4]))], tmp_path)
    assert (tmp_path / "shuffle" / "record.json").read_bytes() == before


def test_everything_is_checked_before_anything_is_run(toy, tmp_path):
    subject = load_subject(toy.config, toy.checkpoint, device="cpu", work_dir=tmp_path)
    with pytest.raises(UserError, match="grid=5"):
        run_parts(subject, [make_part("shuffle"), make_part("occlusion", dict(grid=5))], tmp_path)
    assert not (tmp_path / "shuffle").exists()


def test_a_checkpoint_without_its_classifier(toy, tmp_path):
    content = torch.load(toy.checkpoint, weights_only=True)
    content["state_dict"] = {n: v for n, v in content["state_dict"].items() if ".head." not in n}
    bare = tmp_path / "bare.pth"
    torch.save(content, bare)
    subject = load_subject(toy.config, bare, device="cpu")
    with pytest.raises(UserError, match="holds no classifier, which part occlusion needs"):
        make_part("occlusion").check(subject)
    part = make_part("knn", dict(k=3))
    part.check(subject)
    assert part.run(subject, lambda done, total: None).metrics["knn/top1"] > 70


def test_a_checkpoint_of_another_architecture(toy):
    with pytest.raises(UserError, match="does not fit the backbone of this config"):
        load_subject(toy.config, toy.checkpoint, device="cpu", options={"model.backbone.embed_dim": 96})


def test_pictures_of_odd_modes_and_sizes(toy, tmp_path):
    import shutil

    root = tmp_path / "data"
    shutil.copytree(toy.root, root)
    folder = root / "val" / "circle"
    for name, mode, size in (("a", "L", (7, 90)), ("b", "RGBA", (1, 1)), ("c", "P", (33, 31)), ("d", "1", (40, 40))):
        Image.new(mode, size).save(folder / f"{name}.png")
    Image.new("CMYK", (20, 50)).save(folder / "e.jpg")
    options = {"val_dataloader.dataset.root": str(root)}
    subject = load_subject(toy.config, toy.checkpoint, device="cpu", options=options)
    assert subject.scores().shape == (65, 3)


def test_fewer_pictures_are_spread_over_the_classes(toy):
    subject = load_subject(toy.config, toy.checkpoint, device="cpu", limit=9)
    assert subject.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    with pytest.raises(UserError, match="--limit 0"):
        load_subject(toy.config, toy.checkpoint, device="cpu", limit=0)


def script(toy, out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run tools/robustness.sh."""
    command = ["bash", "tools/robustness.sh", str(toy.config), str(toy.checkpoint), *words, "--work-dir", str(out)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)


@pytest.mark.slow
def test_the_script_measures_every_part_and_the_leaderboard_shows_them(toy, tmp_path):
    done = script(toy, tmp_path / "out", "--limit", "12", "--part-options", "calibration.bins=4", "occlusion.draws=1")
    assert done.returncode == 0, done.stderr[-2000:]
    found = {path.parent.name for path in (tmp_path / "out").glob("*/record.json")}
    assert found == set(MODULES) - {"external"}  # which has nothing to measure without folders
    assert "external" in done.stdout
    table = tmp_path / "table.json"
    command = [sys.executable, "-m", "mixpro_bench", "leaderboard", str(tmp_path / "out"), "--json", str(table)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(table.read_text())


@pytest.mark.slow
def test_two_processes_find_what_one_does(toy, tmp_path):
    words = ("--parts", "occlusion", "knn", "--part-options", "occlusion.draws=1", "knn.k=3")
    for gpus, name in (("1", "one"), ("2", "two")):
        done = script(toy, tmp_path / name, gpus, *words)
        assert done.returncode == 0, done.stderr[-2000:]
    # As a suite starts them: nobody names the launcher.
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m"]
    command += ["mixpro_bench", "robustness", str(toy.config), str(toy.checkpoint), *words]
    done = subprocess.run(
        [*command, "--work-dir", str(tmp_path / "suite")], cwd=ROOT, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for part in ("occlusion", "knn"):
        one, *others = (read_record(tmp_path / name / part / "record.json") for name in ("one", "two", "suite"))
        assert one.cost.devices == 1
        for other in others:
            assert other.metrics == pytest.approx(one.metrics)
            assert other.cost.devices == 2


def test_the_script_names_what_is_wrong_on_its_last_line(toy, tmp_path):
    done = script(toy, tmp_path, "--parts", "ablation")
    assert done.returncode == 2
    assert "there is no part 'ablation'" in done.stderr.strip().splitlines()[-1]
