"""The status of a work dir, of real processes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from mixpro_bench.cli.main import main
from mixpro_bench.errors import UserError
from mixpro_bench.suite.main import run_suite
from mixpro_bench.suite.plan import Plan
from mixpro_bench.suite.run import Run, run_name
from mixpro_bench.suite.status import is_alive, print_status, read_status, write_plan

TOY = Path(__file__).with_name("toy.py")


def toy(root: Path, task: str, method: str, *words: str) -> Run:
    work_dir = root / run_name(task, method, 0)
    needs = task != "pretrain"
    command = [sys.executable, str(TOY), str(work_dir), "--stage", task, "--method", method]
    command += ["--upstream", "{checkpoint}"] * needs + list(words)
    upstream = run_name("pretrain", method, 0) if needs else None
    return Run(task, method, 0, work_dir, {"config": "c0", "data": "d0"}, upstream, "a = 1\n", command)


def by_name(root):
    return {status.name: status for status in read_status(root)}


@pytest.fixture
def suite(tmp_path):
    """A suite of which a part is done, one run failed, and one has been set aside."""
    runs = [
        toy(tmp_path, "pretrain", "mixpro"),
        toy(tmp_path, "pretrain", "cutmix", "--fail"),
        toy(tmp_path, "det", "mixpro"),
        toy(tmp_path, "det", "cutmix"),
    ]
    (tmp_path / "_superseded/pretrain-mixpro-seed0-1").mkdir(parents=True)
    (tmp_path / "_superseded/pretrain-mixpro-seed0-1/run.json").write_text("{}")
    assert run_suite(Plan("toy", runs, 2), tmp_path, console=Console(file=io.StringIO())) == 1
    return tmp_path, runs


def test_done_failed_and_waiting(suite):
    root, _ = suite
    statuses = by_name(root)
    assert list(statuses) == ["pretrain/mixpro/seed0", "pretrain/cutmix/seed0", "det/mixpro/seed0", "det/cutmix/seed0"]
    done = statuses["pretrain/mixpro/seed0"]
    assert (done.state, done.metrics) == ("done", {"top1": 90.0})
    assert done.seconds is not None
    failed = statuses["pretrain/cutmix/seed0"]
    assert (failed.state, failed.detail, failed.resumable) == ("failed", "the data is not there", False)
    waiting = statuses["det/cutmix/seed0"]
    assert (waiting.state, waiting.detail[:28]) == ("waiting", "pretrain/cutmix/seed0 failed")


def test_a_failed_run_with_a_checkpoint_can_be_resumed(suite):
    root, _ = suite
    (root / "pretrain/cutmix/seed0/last_checkpoint").write_text("epoch_1.pth")
    assert by_name(root)["pretrain/cutmix/seed0"].resumable


def test_running_and_killed(tmp_path):
    run = toy(tmp_path, "pretrain", "mixpro", "--sleep", "60")
    later = toy(tmp_path, "det", "mixpro")
    write_plan(Plan("toy", (run, later), 1), tmp_path)
    run.begin(None)
    assert by_name(tmp_path)[run.name].stage == "start"  # this process, the suite, lives
    process = subprocess.Popen(run.command_line(None, resume=False), env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        progress = run.work_dir / "progress.json"
        deadline = time.monotonic() + 20
        while not progress.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.1)
        status = by_name(tmp_path)[run.name]
        assert (status.state, status.iter, status.max_iters) == ("running", 1, 4)
        assert 0 <= status.eta_s <= 3
        assert by_name(tmp_path)[later.name].detail == f"{run.name} running"
    finally:
        process.kill()
    # A zombie, whose parent has not asked yet, is no living run.
    time.sleep(0.1)
    assert by_name(tmp_path)[run.name].state == "failed"
    process.wait()
    assert by_name(tmp_path)[run.name].state == "failed"


def test_number_of_a_process_given_to_another():
    now = time.time()
    assert is_alive({"pid": os.getpid(), "updated": now})
    # Whoever wrote this an hour before this process began was another one.
    assert not is_alive({"pid": os.getpid(), "updated": now - 360_000})
    assert not is_alive({"pid": 2**22 + 1, "updated": now})
    assert is_alive({"pid": 2**22 + 1, "updated": now - 60, "host": "another-machine"})
    assert not is_alive({"pid": 1, "updated": now - 7200, "host": "another-machine"})
    assert not is_alive({})


def test_json_and_table(suite, capsys):
    root, _ = suite
    assert main(["status", str(root), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["counts"] == {"done": 2, "running": 0, "failed": 1, "waiting": 1}
    assert told["suite"]["name"] == "toy"
    assert {run["name"]: run["state"] for run in told["runs"]}["det/mixpro/seed0"] == "done"
    out = io.StringIO()
    print_status(read_status(root), Console(file=out, width=60))
    text = out.getvalue()
    assert "the data is not there" in text
    assert "4 runs: 2 done, 0 running, 1 failed, 1 waiting" in text
    assert any(line.startswith("pretrain/mixpro/seed0") and "top1 90" in line for line in text.splitlines())


def test_one_run_and_folders_without_runs(suite, tmp_path):
    _, runs = suite
    assert [status.state for status in read_status(runs[0].work_dir)] == ["done"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no run below"):
        read_status(tmp_path / "empty")
    with pytest.raises(UserError, match="is no folder"):
        read_status(tmp_path / "absent")
