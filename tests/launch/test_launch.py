"""From arguments to a finished run, and what a wrong one leaves behind."""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mixpro_bench.errors import UserError
from mixpro_bench.launch import add_run_arguments, clear_errors, locked, prepare, run_training

TOY = Path(__file__).parents[1] / "compat" / "toy.py"


@pytest.fixture(scope="module")
def toy():
    spec = importlib.util.spec_from_file_location("toy", TOY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parsed(config: Path, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    add_run_arguments(parser)
    return parser.parse_args([str(config), *words])


@pytest.fixture
def config_file(tmp_path) -> Path:
    path = tmp_path / "my_run.py"
    path.write_text("optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))\n")
    return path


@pytest.mark.mm
def test_defaults(config_file, monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    cfg = prepare(parsed(config_file))
    assert cfg.work_dir == os.path.join("work_dirs", "my_run")
    assert cfg.launcher == "none"
    assert cfg.get("resume") is None
    assert cfg.optim_wrapper.type == "OptimWrapper"


@pytest.mark.mm
def test_arguments(config_file, tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    words = ["--work-dir", str(tmp_path / "w"), "--seed", "4", "--resume", "--amp"]
    cfg = prepare(parsed(config_file, *words, "--cfg-options", "optim_wrapper.optimizer.lr=0.5"))
    assert cfg.work_dir == str(tmp_path / "w")
    assert cfg.randomness.seed == 4
    assert cfg.resume is True
    assert cfg.load_from is None
    assert cfg.optim_wrapper.type == "mixpro_bench.AmpOptimWrapper"
    assert cfg.optim_wrapper.optimizer.lr == 0.5
    assert cfg.launcher == "pytorch"
    assert "resume_changed_config" not in cfg
    assert prepare(parsed(config_file, "--resume", "--resume-changed-config")).resume_changed_config is True
    (tmp_path / "a.pth").touch()
    assert prepare(parsed(config_file, "--resume", str(tmp_path / "a.pth"))).load_from == str(tmp_path / "a.pth")
    with pytest.raises(UserError, match="does not exist"):
        prepare(parsed(config_file, "--resume", str(tmp_path / "none.pth")))


@pytest.mark.mm
def test_run_training_trains_and_frees_the_work_dir(toy, tmp_path):
    run_training(toy.config(tmp_path))
    assert (tmp_path / "iter_10.pth").exists()
    with locked(tmp_path):
        pass


def test_a_work_dir_belongs_to_one_run(tmp_path):
    code = f"from mixpro_bench.launch import locked\nwith locked({str(tmp_path)!r}): print('in', flush=True); input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "in\n"
        with pytest.raises(UserError, match=r"is in use by another run: wait"), locked(tmp_path):
            pass
        other.communicate("\n")
    with locked(tmp_path):
        pass


def test_a_killed_run_frees_its_work_dir(tmp_path):
    code = f"import os\nfrom mixpro_bench.launch import locked\nwith locked({str(tmp_path)!r}): os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    with locked(tmp_path):
        pass


def test_workers_that_outlive_a_killed_run_do_not_hold_its_work_dir(tmp_path):
    """A killed run's data workers live on for seconds, and must not keep it from being taken up again."""
    code = (
        "import os, signal, sys, time\nfrom mixpro_bench.launch import locked\n"
        f"with locked({str(tmp_path)!r}):\n"
        "    if not os.fork(): print(os.getpid(), flush=True), time.sleep(60)\n"
        "    else: time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as run:
        worker = int(run.stdout.readline())
        run.kill()
        run.wait()
        try:
            with locked(tmp_path):
                os.kill(worker, 0)
        finally:
            os.kill(worker, signal.SIGKILL)


def test_other_processes_of_a_run_do_not_lock(tmp_path, monkeypatch):
    with locked(tmp_path):
        monkeypatch.setenv("RANK", "1")
        with locked(tmp_path):
            pass
        monkeypatch.undo()


def test_a_work_dir_that_is_a_file(tmp_path):
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(UserError, match="cannot be written"), locked(path):
        pass


@pytest.mark.mm
def test_a_run_in_use_overwrites_nothing(toy, tmp_path):
    with locked(tmp_path), pytest.raises(UserError, match="in use"):
        run_training(toy.config(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.mm
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (dict(model=dict(type="NoSuchModel")), r"names the type 'NoSuchModel', which the \S+ registry does not know"),
        (dict(model=dict(type="ToyClassifier", widht=3)), r"unexpected keyword argument 'widht'"),
        (dict(resume=True, load_from="/nowhere/a.pth"), r"checkpoint /nowhere/a\.pth does not exist"),
    ],
)
def test_wrong_inputs_become_sentences(toy, tmp_path, changes, sentence):
    with pytest.raises(UserError, match=sentence):
        run_training(toy.config(tmp_path, **changes))


def test_missing_files_are_named_and_bugs_are_not_hidden(tmp_path):
    with pytest.raises(UserError, match=r"none\.json does not exist"), clear_errors():
        (tmp_path / "none.json").read_text()
    wrapped = RuntimeError("while building")
    wrapped.__cause__ = UserError("the inner one")
    with pytest.raises(UserError, match=r"^the inner one$"), clear_errors():
        raise wrapped
    with pytest.raises(ZeroDivisionError), clear_errors():
        1 / 0  # noqa: B018
