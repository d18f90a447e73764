"""The whole chain with real processes: data, pretraining, handover, Mask R-CNN, UperNet, leaderboard."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mixpro_bench.datasets.digits import build_digits

ROOT = Path(__file__).parents[1]

pytestmark = [pytest.mark.mm, pytest.mark.slow]

SUITE = """
name = "smoke"
data = None
seeds = [0]
methods = ["mixpro"]
scratch = True
jobs = 1
pretrain = dict(
    config="{root}/configs/pretrain/digits/vit_digits_{{method}}.py",
    options={{
        **{cls},
        "train_cfg.max_epochs": 1,
        "train_cfg.val_interval": 1,
        "param_scheduler": [],
        "model.backbone.depth": 1,
    }},
)
short = {{
    "train_cfg.max_iters": 2,
    "train_cfg.val_interval": 2,
    "param_scheduler": [],
    "train_dataloader.batch_size": 2,
    "train_dataloader.num_workers": 0,
    "train_dataloader.persistent_workers": False,
    "model.backbone.depth": 1,
}}
tasks = dict(
    det=dict(config="{root}/configs/transfer/det/mask-rcnn_vit-digits_digits.py", options={{**short, **{det}}}),
    seg=dict(config="{root}/configs/transfer/seg/upernet_vit-digits_digits.py", options={{**short, **{seg}}}),
)
del short
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite of five short runs on a few dozen scenes."""
    folder = tmp_path_factory.mktemp("chain")
    counts = dict(cls=(40, 20), det=(8, 4), seg=(8, 4))
    data = build_digits(folder / "digits", counts=counts)
    loaders = ("train_dataloader", "val_dataloader", "test_dataloader")
    cls = {f"{name}.dataset.root": str(data / "cls") for name in loaders}
    det = {f"{name}.dataset.data_root": f"{data}/det/" for name in loaders}
    det |= {
        f"{name}.ann_file": f"{data}/det/annotations/instances_val.json" for name in ("val_evaluator", "test_evaluator")
    }
    seg = {f"{name}.dataset.data_root": str(data / "seg") for name in loaders}
    path = folder / "smoke.py"
    path.write_text(SUITE.format(root=ROOT, cls=cls, det=det, seg=seg))
    return path


def mixpro_bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mixpro_bench", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        timeout=600,
    )


def test_from_data_to_leaderboard(suite: Path) -> None:
    work_dir = suite.parent / "work"
    done = mixpro_bench("suite", suite, "--work-dir", work_dir)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    table = (work_dir / "leaderboard.md").read_text()
    assert "mixpro" in table
    assert "scratch" in table

    records = {
        path.parent.relative_to(work_dir).as_posix(): json.loads(path.read_text())
        for path in work_dir.rglob("record.json")
    }
    assert set(records) == {f"{task}/mixpro/seed0" for task in ("pretrain", "det", "seg")} | {
        "det/scratch/seed0",
        "seg/scratch/seed0",
    }
    source = records["pretrain/mixpro/seed0"]["provenance"]
    for task in ("det", "seg"):
        provenance = records[f"{task}/mixpro/seed0"]["provenance"]
        assert provenance["upstream_sha256"] == source["checkpoint_sha256"]
        assert provenance["load_audit"]["share"] == 1.0
        assert provenance["load_audit"]["missing"] == 0
        assert records[f"{task}/mixpro/seed0"]["method"] == {"name": "mixpro", "preset": "mixpro"}
        assert records[f"{task}/scratch/seed0"]["method"]["name"] == "scratch"

    again = mixpro_bench("suite", suite, "--work-dir", work_dir)
    assert again.returncode == 0
    assert "5 of them done" in again.stdout or "already done" in again.stdout, again.stdout


def test_a_random_file_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "some_random_file.pth"
    path.write_bytes(os.urandom(4096))
    done = subprocess.run(
        ["bash", "tools/transfer_det.sh", "configs/transfer/det/mask-rcnn_vit-digits_digits.py", str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=300,
    )
    assert done.returncode != 0
    assert "some_random_file.pth" in (done.stdout + done.stderr).strip().splitlines()[-1]
