"""The suites of the paper's scale can be planned before any data are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mmengine.config import Config

from mixpro_bench.cli.main import main
from mixpro_bench.protocols import deviations_of_run, protocol_of
from mixpro_bench.suite.plan import build_plan

pytestmark = pytest.mark.mm

SUITES = Path(__file__).parents[2] / "configs/suites"
VARIABLES = ("MIXPRO_IMAGENET", "MIXPRO_COCO", "MIXPRO_ADE20K", "MIXPRO_TEACHER_MAPS")


@pytest.mark.parametrize(
    "name", ["paper_deit", *(pytest.param(n, marks=pytest.mark.configs) for n in ("paper_swin", "paper_deit_common"))]
)
def test_a_plan_without_data(name, tmp_path, monkeypatch, capsys):
    for variable in VARIABLES:
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    assert main(["suite", str(SUITES / f"{name}.py"), "--work-dir", str(tmp_path / "work"), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "pretrain/mixpro/seed2: to run" in told
    align = "tl-align-common" if name.endswith("common") else "tl-align"
    assert f"seg/{align}/seed0: to run after pretrain/{align}/seed0" in told
    # The header says what the plan says.
    header = re.search(
        r"Cost: not run here: (\d+) runs, (\d+) of them without pretraining", (SUITES / f"{name}.py").read_text()
    )
    assert f"\n{header[1]} runs, 0 of them done" in told
    assert len(re.findall("/scratch/seed", told)) == int(header[2])
    missing = [line for line in told.splitlines() if line.startswith("missing: ")]
    assert all(any(variable.lower() in line for line in missing) for variable in VARIABLES)
    assert len(missing) == len(set(missing)) == 11
    assert not (tmp_path / "work").exists()


def test_a_suite_without_data_is_not_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MIXPRO_IMAGENET", str(tmp_path))
    assert main(["suite", str(SUITES / "paper_deit.py"), "--work-dir", str(tmp_path / "work")]) == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["demo", "real_small", "real_answer", pytest.param("paper_deit", marks=pytest.mark.configs)]
)
def test_the_runs_of_a_suite_keep_to_their_protocols(name, tmp_path):
    plan = build_plan(SUITES / f"{name}.py", tmp_path / "work", dry=True)
    for run in plan.runs:
        cfg = Config.fromstring(run.config_text, ".py")
        assert deviations_of_run(cfg, 8 if name.startswith("paper") else 1) == []
        protocol_of(cfg.bench)
