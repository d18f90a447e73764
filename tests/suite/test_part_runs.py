"""The parts of robustness as runs of a suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixpro_bench.errors import UserError
from mixpro_bench.suite.robustness import part_runs
from mixpro_bench.suite.run import Run


@pytest.fixture
def pretraining(tmp_path: Path) -> Run:
    place = tmp_path / "pretrain/mixpro/seed1"
    return Run("pretrain", "mixpro", 1, place, {"config": "c", "data": "d"}, None, "x = 1\n", None, 64)


def test_each_part_is_a_run_that_needs_the_pretraining(pretraining: Run, tmp_path: Path):
    settings = dict(parts=["knn", "shuffle"], options={"shuffle.grids": [2, 4], "knn": {"k": 3}}, limit=100)
    knn, shuffle = part_runs(settings, pretraining, tmp_path)
    assert (knn.name, shuffle.name) == ("knn/mixpro/seed1", "shuffle/mixpro/seed1")
    assert knn.needs == shuffle.needs == "pretrain/mixpro/seed1"
    words = shuffle.command_line("weights.pth", resume=False)
    assert words[3:8] == ["robustness", str(shuffle.config), "weights.pth", "--parts", "shuffle"]
    assert words[words.index("--part-options") + 1 :] == ["shuffle.grids=2,4"]
    assert words[words.index("--limit") + 1] == "100"
    assert "--global-batch" not in words
    # Both read the features that the first one keeps.
    places = [one.command_line("w", resume=False) for one in (knn, shuffle)]
    assert len({words[words.index("--features-dir") + 1] for words in places}) == 1
    assert knn.config_text == pretraining.config_text


def test_other_options_make_another_run(pretraining: Run, tmp_path: Path):
    plain, other, fewer = (
        part_runs(dict(parts=["knn"], **more), pretraining, tmp_path)[0]
        for more in ({}, dict(options={"knn.k": 3}), dict(limit=10))
    )
    assert len({str(run.facts_with(None)) for run in (plain, other, fewer, pretraining)}) == 4


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (dict(parts=["ablation"]), "no part 'ablation'"),
        (dict(parts=[]), "robustness must be"),
        (dict(parts=["knn"], colour=1), "robustness must be"),
        (dict(parts=["knn"], options={"k": 3}), "names no part"),
        (dict(parts=["knn"], options={"shuffle.grids": [2]}), "not among its parts"),
        (dict(parts=["knn"], options={"knn.k": 0}), "k=0"),
        (dict(parts=["knn"], options={"knn.n": 1}), "no option 'n'"),
    ],
)
def test_wrong_settings_are_refused(pretraining: Run, tmp_path: Path, settings: dict, told: str):
    with pytest.raises(UserError, match=told):
        part_runs(settings, pretraining, tmp_path)
