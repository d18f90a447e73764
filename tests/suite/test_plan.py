"""From a suite config to runs."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from mixpro_bench.config import config_hash
from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.record import Record
from mixpro_bench.suite.plan import build_plan, config_text

pytestmark = pytest.mark.mm

CONFIG = """
bench = dict(task="{task}", method="{method}", preset="{method}", backbone="toy", protocol="toy-{task}", version=1)
runner_type = "mixpro_bench.Runner"
model = dict(type="mixpro_bench.Classifier", backbone=dict(type="mixpro_bench.TimmBackbone", name="toy"))
train_cfg = dict(type="IterBasedTrainLoop", max_iters=10)
"""


@pytest.fixture(autouse=True)
def unchecked(monkeypatch):
    """The toy configs say only what a plan reads; the check of configs has tests of its own."""
    monkeypatch.setattr("mixpro_bench.config_check.check_config", lambda cfg: None)


@pytest.fixture
def suite(tmp_path):
    """Return a function that writes a suite config with changes and returns its path."""
    folder = tmp_path / "configs"
    (folder / "suites").mkdir(parents=True)
    for method in ("none", "mixpro"):
        (folder / f"cls_{method}.py").write_text(CONFIG.format(task="pretrain", method=method))
    (folder / "det.py").write_text(CONFIG.format(task="det", method="mixpro"))

    def write(**changes) -> Path:
        settings = {
            "methods": ["none", "mixpro"],
            "pretrain": {"config": "../cls_{method}.py", "options": {"train_cfg.max_iters": 3}},
            "tasks": {"det": {"config": "../det.py"}},
        } | changes
        path = folder / "suites/toy.py"
        path.write_text("".join(f"{key} = {value!r}\n" for key, value in settings.items() if value is not None))
        return path

    return write


def test_runs_come_in_an_order_that_works(suite, tmp_path):
    plan = build_plan(suite(seeds=[0, 1], scratch=True, jobs=2), tmp_path / "work")
    names = [run.name for run in plan.runs]
    assert (plan.name, plan.jobs) == ("toy", 2)
    assert names == [
        "pretrain/none/seed0", "pretrain/mixpro/seed0", "pretrain/none/seed1", "pretrain/mixpro/seed1",
        "det/none/seed0", "det/mixpro/seed0", "det/scratch/seed0",
        "det/none/seed1", "det/mixpro/seed1", "det/scratch/seed1",
    ]  # fmt: skip
    for run in plan.runs:
        assert run.work_dir == tmp_path / "work" / run.name
        assert run.needs is None or names.index(run.needs) < names.index(run.name)
        assert run.needs == (
            f"pretrain/{run.method}/seed{run.seed}" if run.name.startswith(("det/n", "det/m")) else None
        )


def test_configs_are_resolved(suite, tmp_path):
    plan = build_plan(suite(), tmp_path / "work")
    by_name = {run.name: run for run in plan.runs}
    run = by_name["pretrain/mixpro/seed0"]
    run.begin(None)
    cfg = Config.fromfile(run.config)
    assert cfg.train_cfg.max_iters == 3
    assert cfg.bench.method == "mixpro"
    assert config_hash(cfg) == run.facts["config"]
    assert by_name["pretrain/none/seed0"].facts["config"] != run.facts["config"]


def test_commands(suite, tmp_path):
    plan = build_plan(suite(scratch=True, seeds=[4]), tmp_path / "w")
    by_name = {run.name: run for run in plan.runs}
    start = f"{shlex.quote(sys.executable)} -m mixpro_bench"
    work = tmp_path / "w/pretrain/mixpro/seed4"
    command = shlex.join(by_name["pretrain/mixpro/seed4"].command_line(None, resume=True))
    assert command == f"{start} pretrain {work}/config.py --work-dir {work} --seed 4 --resume"
    work = tmp_path / "w/det/mixpro/seed4"
    command = shlex.join(by_name["det/mixpro/seed4"].command_line("a.pth", resume=False))
    assert command == f"{start} transfer {work}/config.py a.pth --work-dir {work} --seed 4"
    assert "--from-scratch" in by_name["det/scratch/seed4"].command_line(None, resume=False)


@pytest.mark.parametrize(
    ("only", "names"),
    [
        (["det/mixpro/*"], ["pretrain/mixpro/seed0", "det/mixpro/seed0"]),
        (["pretrain"], ["pretrain/none/seed0", "pretrain/mixpro/seed0"]),
        (["*/none/seed0"], ["pretrain/none/seed0", "det/none/seed0"]),
    ],
)
def test_only_some_runs_and_what_they_need(suite, tmp_path, only, names):
    assert [run.name for run in build_plan(suite(), tmp_path, only).runs] == names


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": None}, "lacks 'methods'"),
        ({"methods": "mixpro"}, "methods is 'mixpro'"),
        ({"methods": ["none", "none"]}, "methods names something twice"),
        ({"methods": ["none", "scratch"]}, "scratch=True"),
        ({"seed": [0]}, "did you mean 'seeds'"),
        ({"seeds": []}, "seeds must be"),
        ({"seeds": ["a"]}, "seeds must be"),
        ({"jobs": 0}, "jobs must be 1"),
        ({"baseline": "cutmix"}, "baseline is 'cutmix', which is none of none, mixpro"),
        ({"slurm": "gpu"}, "slurm is 'gpu', which is of a wrong type"),
        ({"data": "digit"}, "data is 'digit'"),
        ({"data": {"pretrain": {}}}, "pretrain"),
        ({"methods": ["nine"]}, r"cls_nine\.py does not exist"),
        ({"tasks": {"det": {"config": "../cls_none.py"}}}, "cannot be used as 'det'"),
        ({"tasks": {"det": {"path": "../det.py"}}}, r"must be dict\(config"),
    ],
)
def test_a_wrong_suite_is_refused_in_one_sentence(suite, tmp_path, changes, words):
    with pytest.raises(UserError, match=words) as error:
        build_plan(suite(**changes), tmp_path / "work")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "work").exists()


def test_a_suite_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.py does not exist"):
        build_plan(tmp_path / "none.py", tmp_path)


def test_a_pattern_that_fits_no_run_is_named(suite, tmp_path):
    with pytest.raises(UserError, match="--only seg fits no run"):
        build_plan(suite(), tmp_path / "work", ["det", "seg"])


def test_config_text_says_what_the_config_says(tmp_path):
    cfg = Config({"a": {"b": (1, 2.5, None), "c": ["x" * 200, "ö'\"\n"]}, "d": -1e-9, "e": True})
    (tmp_path / "c.py").write_text(config_text(cfg), encoding="utf-8")
    assert Config.fromfile(tmp_path / "c.py").to_dict() == cfg.to_dict()


def test_facts_hold_the_upstream_weights(suite, tmp_path):
    plan = build_plan(suite(), tmp_path / "work")
    run = plan.runs[-1]
    record = Record(
        stage="pretrain",
        method={"name": "a", "preset": "a"},
        backbone="b",
        protocol={"name": "p", "version": 1},
        metrics={},
        cost={"wall_s": 1, "train_s": 1},
        provenance={"checkpoint_sha256": "abc"},
    )
    run.begin(record)
    assert json.loads((run.work_dir / "run.json").read_text())["upstream"] == "abc"


@pytest.mark.parametrize(
    ("changes", "baseline"),
    [
        ({}, "none"),
        ({"methods": ["mixpro"]}, None),
        ({"baseline": "mixpro"}, "mixpro"),
        ({"scratch": True, "baseline": "scratch"}, "scratch"),
    ],
)
def test_gains_are_measured_against_a_row_there_is(suite, tmp_path, changes, baseline):
    assert build_plan(suite(**changes), tmp_path / "work").baseline == baseline


@pytest.mark.parametrize(
    ("protocol", "batch", "options", "images", "noted"),
    [
        # 16 images over however many processes, whatever the config means for one of eight.
        ("coco-maskrcnn-1x", 2, {}, 16, 16),
        ("coco-maskrcnn-1x", 2, {"optim_wrapper.accumulative_counts": 8}, 16, None),
        ("coco-maskrcnn-1x", 2, {"train_dataloader.batch_size": 4}, 4, None),
        ("somebodys-own", 6, {}, 6, None),
        ("somebodys-own", 6, {"optim_wrapper": {"accumulative_counts": 2}}, 12, None),
    ],
)
def test_the_batch_does_not_depend_on_where_a_run_is_done(suite, tmp_path, protocol, batch, options, images, noted):
    path = suite(tasks={"det": {"config": "../own.py", "options": options}})
    (path.parent.parent / "own.py").write_text(
        CONFIG.format(task="det", method="mixpro").replace("toy-det", protocol)
        + f"train_dataloader = dict(batch_size={batch})\n"
    )
    run = build_plan(path, tmp_path / "work").runs[-1]
    words = run.command_line("a.pth", resume=True)
    assert words[words.index("--global-batch") + 1] == str(images)
    assert run.facts.get("global_batch") == noted
