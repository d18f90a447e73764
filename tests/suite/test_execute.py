"""The local executor, with real processes."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard import read_record
from mixpro_bench.suite.execute import LocalExecutor
from mixpro_bench.suite.main import dry_run, run_suite
from mixpro_bench.suite.plan import Plan
from mixpro_bench.suite.process import gpus
from mixpro_bench.suite.run import Run, run_name

TOY = Path(__file__).with_name("toy.py")


def toy(root: Path, task: str, method: str, *words: str, seed: int = 0, needs: bool | None = None, **facts) -> Run:
    needs = task != "pretrain" if needs is None else needs
    work_dir = root / run_name(task, method, seed)
    command = [sys.executable, str(TOY), str(work_dir), "--stage", task, "--method", method, "--seed", str(seed)]
    command += ["--upstream", "{checkpoint}"] * needs + list(words)
    upstream = run_name("pretrain", method, seed) if needs else None
    return Run(task, method, seed, work_dir, {"config": "c0", "data": "d0"} | facts, upstream, "a = 1\n", command)


def perform(root: Path, *runs: Run, jobs: int = 2, executor: LocalExecutor | None = None) -> tuple[int, str]:
    out = io.StringIO()
    code = run_suite(Plan("toy", runs, jobs), root, executor=executor, console=Console(file=out, width=120))
    return code, out.getvalue()


def test_a_suite_runs_in_order_and_ends_with_the_leaderboard(tmp_path):
    runs = [toy(tmp_path, "pretrain", "mixpro"), toy(tmp_path, "pretrain", "cutmix")]
    runs += [toy(tmp_path, task, method) for task in ("det", "seg") for method in ("mixpro", "cutmix")]
    runs += [toy(tmp_path, "det", "scratch", needs=False)]
    code, out = perform(tmp_path, *runs)
    assert code == 0, out
    assert "7 runs: 7 done now" in out
    assert "box AP" in out
    assert "mIoU" in out
    for name in ("leaderboard.md", "leaderboard.csv"):
        assert f"written: {tmp_path / name}" in out
        assert (tmp_path / name).is_file()
    record = read_record(tmp_path / "det/mixpro/seed0/record.json")
    upstream = read_record(runs[0].work_dir / "record.json")
    assert record.provenance.upstream_sha256 == upstream.provenance.checkpoint_sha256
    assert runs[0].config.read_text() == "a = 1\n"
    assert "toy done" in runs[0].log.read_text()
    table = (tmp_path / "leaderboard.md").read_text()
    assert table.count("## ") == 1, "scratch, mixpro and cutmix stand in one table"

    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("record.json")}
    code, out = perform(tmp_path, *runs)
    assert code == 0
    assert "0 done now, 7 done before" in out
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("record.json")}


def test_a_failure_stops_only_what_needs_it(tmp_path):
    runs = [toy(tmp_path, "pretrain", "mixpro", "--fail"), toy(tmp_path, "pretrain", "cutmix")]
    runs += [toy(tmp_path, "det", "mixpro"), toy(tmp_path, "det", "cutmix"), toy(tmp_path, "seg", "cutmix", "--killed")]
    code, out = perform(tmp_path, *runs)
    assert code == 1
    assert "2 done now, 0 done before, 2 failed, 1 skipped" in out
    assert f"FAILED pretrain/mixpro/seed0 (exit status 3), log {runs[0].log}" in out
    assert "    the data is not there" in out
    assert "SKIPPED det/mixpro/seed0: pretrain/mixpro/seed0 failed" in out
    assert "FAILED seg/cutmix/seed0 (killed by SIGKILL)" in out
    assert runs[3].record() is not None
    assert "box AP" in out, "the leaderboard shows what there is"


def test_a_process_that_ends_well_without_a_record_has_failed(tmp_path):
    code, out = perform(tmp_path, toy(tmp_path, "pretrain", "mixpro", "--no-record"))
    assert code == 1
    assert "ended without a Record" in out
    assert "no leaderboard: no record.json" in out


def test_a_failed_run_is_taken_up_again_in_its_own_folder(tmp_path):
    runs = [toy(tmp_path, "pretrain", "mixpro", "--fail-once"), toy(tmp_path, "det", "mixpro")]
    assert perform(tmp_path, *runs)[0] == 1
    assert runs[0].state(None) == "resume"
    code, out = perform(tmp_path, *runs)
    assert code == 0, out
    assert not (tmp_path / "_superseded").exists()
    assert runs[0].log.read_text().count("$ ") == 2, "both sessions are in the log"


@pytest.mark.parametrize("facts", [{"config": "c1"}, {"data": "d1"}])
def test_another_config_or_other_data_runs_anew_and_keeps_the_old_folder(tmp_path, facts):
    runs = [toy(tmp_path, "pretrain", "mixpro"), toy(tmp_path, "det", "mixpro"), toy(tmp_path, "seg", "mixpro")]
    assert perform(tmp_path, *runs)[0] == 0
    runs[1] = replace(runs[1], facts=runs[1].facts | facts)
    assert [runs[0].state(None)] + [run.state(runs[0].record()) for run in runs[1:]] == ["done", "changed", "done"]
    code, out = perform(tmp_path, *runs)
    assert code == 0
    assert "1 done now, 2 done before" in out
    assert (tmp_path / "_superseded/det-mixpro-seed0-1/record.json").is_file()
    assert "_superseded" not in (tmp_path / "leaderboard.csv").read_text()


def test_other_upstream_weights_run_the_transfers_anew(tmp_path):
    runs = [toy(tmp_path, "pretrain", "mixpro"), toy(tmp_path, "det", "mixpro")]
    assert perform(tmp_path, *runs)[0] == 0
    record = runs[0].record()
    other = record.model_copy(deep=True)
    other.provenance.checkpoint_sha256 = "0" * 64
    assert runs[1].state(record) == "done"
    assert runs[1].state(other) == "changed"


@pytest.mark.parametrize("damage", ["record", "facts", "checkpoint"])
def test_what_is_broken_is_not_done(tmp_path, damage):
    run = toy(tmp_path, "pretrain", "mixpro")
    assert perform(tmp_path, run)[0] == 0
    if damage == "checkpoint":
        (run.work_dir / "last.pth").unlink()
    else:
        path = run.work_dir / {"record": "record.json", "facts": "run.json"}[damage]
        path.write_text(path.read_text()[:40])
    assert run.state(None) == {"record": "resume", "facts": "changed", "checkpoint": "changed"}[damage]


def test_threads_are_shared_out(tmp_path):
    run = toy(tmp_path, "pretrain", "mixpro")
    perform(tmp_path, run, jobs=len(os.sched_getaffinity(0)))
    assert "threads 1\n" in run.log.read_text()


def told(run: Run, word: str) -> set[str]:
    """What the run's processes said of themselves."""
    return {line.removeprefix(f"{word} ") for line in run.log.read_text().splitlines() if line.startswith(f"{word} ")}


def test_runs_at_once_have_gpus_of_their_own(tmp_path):
    runs = [toy(tmp_path, "pretrain", method, "--sleep", "1") for method in ("mixpro", "cutmix")]
    runs += [toy(tmp_path, "det", method) for method in ("mixpro", "cutmix")]
    code, out = perform(tmp_path, *runs, executor=LocalExecutor(2, 2, ("4", "5", "6", "7")))
    assert code == 0, out
    assert told(runs[0], "devices") == {"4,5"}
    assert told(runs[1], "devices") == {"6,7"}
    assert {*told(runs[2], "devices"), *told(runs[3], "devices")} <= {"4,5", "6,7"}
    assert told(runs[0], "rank") == {"0 of 2", "1 of 2"}
    assert runs[0].log.read_text().startswith("$ CUDA_VISIBLE_DEVICES=4,5 ")


def test_more_runs_than_gpus_share_them_evenly(tmp_path):
    runs = [toy(tmp_path, "pretrain", method, "--sleep", "1") for method in ("none", "mixpro", "cutmix")]
    code, out = perform(tmp_path, *runs, executor=LocalExecutor(3, 1, ("a", "b")))
    assert code == 0, out
    assert [told(run, "devices") for run in runs] == [{"a"}, {"b"}, {"a"}]


def test_the_gpus_that_a_suite_may_use(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus() == ("0", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-7, 3")
    assert gpus() == ("GPU-7", "3")


def test_dry_run_touches_nothing(tmp_path):
    runs = (toy(tmp_path, "pretrain", "mixpro"), toy(tmp_path, "det", "mixpro"))
    out = io.StringIO()
    assert dry_run(Plan("toy", runs, 1), Console(file=out)) == 0
    assert "pretrain/mixpro/seed0: to run\n" in out.getvalue()
    assert "det/mixpro/seed0: to run after pretrain/mixpro/seed0\n" in out.getvalue()
    assert not list(tmp_path.iterdir())


SUITE = """
import sys
from pathlib import Path
from mixpro_bench.suite.main import run_suite
from mixpro_bench.suite.plan import Plan
from mixpro_bench.suite.run import Run
root = Path(sys.argv[1])
work_dir = root / "pretrain/mixpro/seed0"
command = [sys.executable, sys.argv[2], str(work_dir), "--sleep", "60"]
run_suite(Plan("toy", (Run("pretrain", "mixpro", 0, work_dir, command=command),), 1), root)
"""


def test_gains_stand_in_the_leaderboard(tmp_path):
    runs = [toy(tmp_path, "pretrain", "mixpro"), toy(tmp_path, "pretrain", "cutmix")]
    out = io.StringIO()
    run_suite(Plan("toy", runs, 2, baseline="cutmix"), tmp_path, console=Console(file=out, width=200))
    assert "mean difference to cutmix" in (tmp_path / "leaderboard.md").read_text()
    run_suite(Plan("toy", runs, 2, baseline="none"), tmp_path, console=Console(file=out, width=200))
    assert "no gains: no row is called 'none'" in out.getvalue()
    assert "cutmix" in (tmp_path / "leaderboard.md").read_text()


def test_a_stopped_run_is_told_to_resume(tmp_path):
    told = []

    class Recorded(Run):
        def command_line(self, checkpoint, *, resume):
            told.append(resume)
            return super().command_line(checkpoint, resume=resume)

    plain = toy(tmp_path, "pretrain", "mixpro", "--fail-once")
    run = Recorded("pretrain", "mixpro", 0, plain.work_dir, plain.facts, command=plain.command)
    assert [perform(tmp_path, run)[0] for _ in range(3)] == [1, 0, 0]
    assert told == [False, True]


def start_suite(tmp_path: Path) -> tuple[subprocess.Popen, int]:
    """Start a suite whose run sleeps, and return it with the run's process number."""
    suite = subprocess.Popen([sys.executable, "-c", SUITE, str(tmp_path), str(TOY)], stdout=subprocess.DEVNULL)
    progress = tmp_path / "pretrain/mixpro/seed0/progress.json"
    deadline = time.monotonic() + 30
    while not (progress.is_file() and progress.read_text().endswith("}")):
        assert time.monotonic() < deadline, "the toy run did not start"
        assert suite.poll() is None, "the suite ended"
        time.sleep(0.05)
    return suite, json.loads(progress.read_text())["pid"]


def wait_gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_suite_that_is_ended_leaves_no_process_behind_and_is_taken_up_again(tmp_path, how):
    suite, pid = start_suite(tmp_path)
    suite.send_signal(how)
    suite.wait(20)
    assert wait_gone(pid)
    run = toy(tmp_path, "pretrain", "mixpro")
    run = replace(run, facts={})
    assert run.state(None) == "resume"
    assert perform(tmp_path, run)[0] == 0


def test_a_work_dir_in_use_is_refused(tmp_path):
    suite, _ = start_suite(tmp_path)
    try:
        with pytest.raises(UserError, match="in use by another suite"):
            perform(tmp_path, toy(tmp_path, "pretrain", "mixpro"))
    finally:
        suite.terminate()
        suite.wait(20)
