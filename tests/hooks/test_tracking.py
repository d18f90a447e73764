"""Curves where people look at them: the real files and databases, read back by each package's own reader."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from mixpro_bench.config import config_hash
from mixpro_bench.errors import UserError
from mixpro_bench.hooks.tracking import TRACKERS, names_of, with_trackers

pytestmark = pytest.mark.mm
TOY = Path(__file__).with_name("tracked.py")
BENCH = {"task": "pretrain", "method": "mixpro", "preset": "mixpro", "backbone": "toy", "protocol": "toy", "version": 2}


def needs(name):
    return pytest.mark.skipif(importlib.util.find_spec(TRACKERS[name][1]) is None, reason=f"{name} is not installed")


def train(work_dir, track, **environment):
    """Train in a process of its own: the packages keep global state, and MLflow a thread."""
    told = {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "WANDB_SILENT": "true", **environment}
    unset = ("MLFLOW_TRACKING_URI", "WANDB_API_KEY")
    env = {key: value for key, value in os.environ.items() if key not in unset} | told
    command = [sys.executable, "-W", "ignore", str(TOY), str(work_dir), *track]
    return subprocess.run(command, env=env, capture_output=True, text=True, cwd=work_dir.parent)


def expected(work_dir):
    """What the run logged, by (name, step): from the local log that is always written."""
    (path,) = work_dir.glob("*/vis_data/scalars.json")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {(key, line["step"]): value for line in lines for key, value in line.items() if key != "step"}


@needs("tensorboard")
def test_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = train(tmp_path / "run", ["tensorboard"])
    assert done.returncode == 0, done.stderr[-2000:]
    (events,) = (tmp_path / "run").glob("*/vis_data/events.out.tfevents.*")
    read = EventAccumulator(str(events)).Reload()
    found = {(tag, one.step): one.value for tag in read.Tags()["scalars"] for one in read.Scalars(tag)}
    assert found == pytest.approx(expected(tmp_path / "run"), rel=1e-6)
    assert {("loss", 2), ("mix/factor", 2), ("lr", 4), ("top1", 4)} <= set(found)


@needs("mlflow")
@pytest.mark.slow
def test_mlflow(tmp_path):
    from mlflow import MlflowClient

    run = tmp_path / "pretrain/mixpro/seed0"
    run.parent.mkdir(parents=True)
    done = train(run, ["mlflow"])
    assert done.returncode == 0, done.stderr[-2000:]
    client = MlflowClient(f"sqlite:///{run / 'mlflow.db'}")
    (experiment,) = (one for one in client.search_experiments() if one.name != "Default")
    assert experiment.name == "pretrain toy"
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "pretrain/mixpro/seed0"
    assert found.data.params["bench.method"] == "mixpro"
    logged = expected(run)
    history = {
        (key, one.step): one.value
        for key in found.data.metrics
        for one in client.get_metric_history(found.info.run_id, key)
    }
    assert history == pytest.approx(logged, rel=1e-6)
    kept = {one.path for one in client.list_artifacts(found.info.run_id)}
    assert {"config.py", "record.json"} <= kept
    assert {path.name for path in run.parents[2].iterdir()} == {"pretrain"}, (
        "nothing is written outside of the work dir"
    )


@needs("wandb")
@pytest.mark.slow
def test_wandb_offline(tmp_path):
    done = train(tmp_path / "run", ["wandb", "tensorboard"])
    assert done.returncode == 0, done.stderr[-2000:]
    (kept,) = (tmp_path / "run").glob("*/vis_data/wandb/offline-run-*/run-*.wandb")
    # The package has no reader of its own for what waits to be sent.
    content = kept.read_bytes()
    for text in (b"mix/factor", b"top1", b"mixpro-bench", b"pretrain toy"):
        assert text in content
    assert list((tmp_path / "run").glob("*/vis_data/events.out.tfevents.*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "environment", "sentence"),
    [
        pytest.param(
            "wandb", {"WANDB_MODE": "online", "WANDB_API_KEY": "short"}, "set WANDB_MODE=offline", marks=needs("wandb")
        ),
        pytest.param(
            "mlflow", {"MLFLOW_TRACKING_URI": "nowhere://x"}, "check MLFLOW_TRACKING_URI", marks=needs("mlflow")
        ),
    ],
)
def test_what_cannot_be_reached_is_said_before_training(tmp_path, name, environment, sentence):
    done = train(tmp_path / "run", [name], **environment)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert f"UserError: {name} cannot be started" in last
    assert sentence in last
    assert not list((tmp_path / "run").glob("*.pth"))


@pytest.mark.parametrize("name", list(TRACKERS))
def test_a_package_that_is_missing_is_one_sentence(monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(UserError, match=rf"pip install 'mixpro-bench\[{name}\]'"):
        with_trackers(None, {"track": name}, "w")
    listed = {"type": "Visualizer", "vis_backends": [{"type": f"mmengine.{TRACKERS[name][0]}"}]}
    with pytest.raises(UserError, match=name):
        with_trackers(listed, {}, "w")
    assert with_trackers({"type": "Visualizer", "vis_backends": []}, {}, "w")["vis_backends"] == []


def test_the_extras_are_the_packages():
    setup = (Path(__file__).parents[2] / "setup.py").read_text()
    for name in TRACKERS:
        assert f'"{name}": ' in setup


def test_one_key_switches_and_others_are_refused(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: True)
    own = {"type": "mmseg.SegLocalVisualizer", "vis_backends": {"type": "TensorboardVisBackend"}}
    told = with_trackers(own, Config({"track": ["tensorboard", "wandb", "wandb"], "bench": BENCH}), "a/b/c/d")
    assert [one["type"] for one in told["vis_backends"]] == ["TensorboardVisBackend", "WandbVisBackend"]
    assert told["vis_backends"][1]["init_kwargs"]["name"] == "b/c/d"
    assert own["vis_backends"] == {"type": "TensorboardVisBackend"}
    assert names_of(None) == []
    with pytest.raises(UserError, match="'tensorbord', which is none of tensorboard, mlflow, wandb"):
        names_of("tensorbord")


def test_where_a_run_is_tracked_is_no_part_of_what_it_is():
    assert config_hash({"a": 1, "track": "wandb"}) == config_hash({"a": 1})


def test_the_option_reaches_the_config(tmp_path):
    import argparse

    from mixpro_bench.launch import add_run_arguments, prepare

    (tmp_path / "c.py").write_text("bench = dict(task='pretrain')\n")
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    add_run_arguments(parser)
    words = [str(tmp_path / "c.py"), "--track", "tensorboard", "--track", "wandb"]
    assert prepare(parser.parse_args(words)).track == ["tensorboard", "wandb"]
    assert prepare(parser.parse_args(words[:1])).get("track") is None
