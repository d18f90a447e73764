"""Real processes, killed by SIGKILL and started again, end as if they had been left alone. Twenty kills."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from mixpro_bench.benchmark.killed import POINTS, PRELOADED, Moment, preload, run_session
from mixpro_bench.benchmark.resume import _unequal, benchmark_resume, differences, holds, summary
from mixpro_bench.benchmark.resume_stages import make_stages
from mixpro_bench.cli.main import main
from mixpro_bench.compat.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint

pytestmark = [pytest.mark.mm, pytest.mark.slow, pytest.mark.timeout(1800)]
KILLS = {"pretrain": 8, "det": 6, "seg": 6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("resume")


@pytest.fixture(scope="module")
def result(folder) -> dict:
    return benchmark_resume(KILLS, folder, seed=1, tell=lambda what, kills: print(kills, what, flush=True))


@pytest.mark.parametrize("stage", list(KILLS))
def test_killed_runs_end_as_if_left_alone(result, stage):
    (row,) = (row for row in result["rows"] if row["stage"] == stage)
    print(json.dumps(row, indent=2))
    assert row["kills"] >= KILLS[stage]
    assert row["restarts"] == row["kills"]
    assert row["differing"] == []
    assert row["bit_equal"] == row["runs"] > 0
    assert row["resumed_from_checkpoint"] > 0
    # Of what a checkpoint holds nothing is read again; of the rest, what was lost and what workers had fetched.
    assert row["read_from_before_the_resume_point"] == 0
    assert row["read_again_behind_it"] > 0
    assert row["most_read_again_at_once"] <= row["bound_on_that"]
    # A sample looks as it did before the kill, and otherwise than in any other epoch.
    assert row["augmented_otherwise"] == 0
    assert row["differ_between_epochs"] > 0.8
    # Workers of a process that was killed alone.
    assert row["left_workers"] == 0
    assert holds(row)
    assert summary(row)["bit-equal"] == "yes"


def test_both_kinds_of_moments_came(result):
    moments = {name for row in result["rows"] for name in row["kills_by_moment"]}
    assert "by the clock" in moments
    assert len(moments & set(POINTS)) >= 3


def test_the_recipe_has_what_makes_resuming_hard(result, folder):
    """Dropout, drop path, workers, mixing and an average that differs from the weights."""
    for stage in KILLS:
        text = (folder / f"{stage}.py").read_text()
        assert all(word in text for word in ("drop_path_rate=0.2", "proj_drop_rate=0.1", "num_workers=2", "EMAHook"))
        checkpoint = load_checkpoint(latest_checkpoint(folder / stage / "whole"))
        raw, average = checkpoint["ema_state_dict"], checkpoint["state_dict"]
        assert any(not torch.equal(value, raw[f"module.{key}"]) for key, value in average.items())
    pretraining = load_checkpoint(latest_checkpoint(folder / "pretrain" / "whole"))
    assert set(pretraining["mixpro_hook"]) > {"maskmix"}  # both of MixPro's branches


@pytest.fixture(scope="module")
def unseeded(folder, result) -> tuple[Path, Path]:
    """A run whose generators are not seeded in each step, and the same killed once."""
    stage = make_stages(folder / "unseeded", ["pretrain"])["pretrain"]
    context = preload(PRELOADED)
    for name, moments in (("whole", [None]), ("killed", [Moment("the pointer gets its name", 3), None])):
        run = folder / "unseeded" / name
        words = [*stage.words, "--work-dir", str(run), "--resume", "--cfg-options", "default_hooks.step_seed=None"]
        codes = [run_session(context, words, run.with_suffix(".log"), moment).code for moment in moments]
        assert codes == [-9 if moment else 0 for moment in moments]
    return folder / "unseeded" / "whole", folder / "unseeded" / "killed"


def test_the_comparison_notices_what_a_plain_resume_changes(unseeded):
    assert any(key.startswith("state_dict") for key in differences(*unseeded))


def test_the_comparison_notices_one_bit(folder, result, tmp_path):
    whole = folder / "pretrain" / "whole"
    shutil.copytree(whole, tmp_path / "other")
    assert differences(whole, tmp_path / "other") == []
    path = tmp_path / "other" / "iter_20.pth"
    (tmp_path / "other" / "last_checkpoint").write_text(str(path))
    checkpoint = load_checkpoint(path)
    weight = checkpoint["optimizer"]["state"][0]["exp_avg"]
    weight.view(torch.int32).view(-1)[0] ^= 1
    save_checkpoint(checkpoint, path)
    assert differences(whole, tmp_path / "other") == ["optimizer.state.0.exp_avg"]


def test_unequal_values_are_named():
    assert _unequal("a", {"b": [1, torch.ones(2)]}, {"b": [1, torch.ones(2)]}) == []
    assert _unequal("a", {"b": [1, torch.ones(2)]}, {"b": [2, torch.zeros(2)]}) == ["a.b.0", "a.b.1"]
    assert _unequal("a", {"b": 1}, {"c": 1}) == ["keys of a"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--kills", "2"], "--kills 2: give at least one for each of the 3 stages"),
        (["--stages", "pretrain,cls"], "'cls' is none of pretrain, det, seg"),
        (["--keep", "."], "--keep . exists: name a new folder"),
    ],
)
def test_wrong_arguments(words, sentence, capsys):
    assert main(["benchmark", "resume", *words]) == 2
    assert sentence in capsys.readouterr().err
