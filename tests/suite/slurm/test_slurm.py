"""A suite on a real SLURM."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mixpro_bench.cli.main import main
from mixpro_bench.datasets.digits import build_digits
from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.record import read_record
from mixpro_bench.suite.main import run_suite
from mixpro_bench.suite.plan import Plan
from mixpro_bench.suite.queue import read_jobs, suite_tag
from mixpro_bench.suite.run import Run, run_name
from mixpro_bench.suite.slurm import SlurmExecutor
from mixpro_bench.suite.slurm_options import read_options
from mixpro_bench.suite.status import read_status, to_json

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
TOY = ROOT / "tests/suite/toy.py"


def toy(root: Path, task: str, method: str, *words: str) -> Run:
    needs = run_name("pretrain", method, 0) if task != "pretrain" else None
    work_dir = root / run_name(task, method, 0)
    command = [sys.executable, str(TOY), str(work_dir), "--stage", task, "--method", method]
    command += ["--upstream", "{checkpoint}"] * (needs is not None) + list(words)
    return Run(task, method, 0, work_dir, {"config": "c0", "data": "d0"}, needs, "a = 1\n", command)


def perform(root: Path, *runs: Run, wait: bool = True, **settings) -> tuple[int, str]:
    out = io.StringIO()
    executor = SlurmExecutor(read_options({"gpus": 0, "time": 10, **settings}), wait=wait, poll_seconds=0.3)
    code = run_suite(Plan("toys", runs, 1), root, executor=executor, console=Console(file=out, width=200))
    return code, out.getvalue()


def states(root: Path) -> dict[str, str]:
    return {status.name: f"{status.state} {status.detail}".strip() for status in read_status(root)}


@pytest.fixture
def told(monkeypatch):
    """The queue is asked at each look at the status."""
    monkeypatch.setattr("mixpro_bench.suite.queue.FRESH_SECONDS", 0.0)


def test_runs_wait_for_what_they_need_and_none_is_submitted_twice(cluster, tmp_path, told):
    runs = [toy(tmp_path, "pretrain", "mixpro", "--sleep", "6"), toy(tmp_path, "det", "mixpro")]
    code, out = perform(tmp_path, *runs, wait=False)
    assert code == 0, out
    assert "0 failed, 0 skipped, 2 in the queue" in out
    assert "det/mixpro/seed0: submitted as SLURM job" in out
    cluster.wait(lambda: states(tmp_path)["pretrain/mixpro/seed0"].startswith("running"))
    cluster.wait(lambda: re.search(r"in the queue as SLURM job \d+, Dependency", states(tmp_path)["det/mixpro/seed0"]))
    assert to_json(tmp_path, read_status(tmp_path))["suite"]["running"]

    first = {name: job.id for name, job in read_jobs(suite_tag(tmp_path)).items()}
    code, out = perform(tmp_path, *runs)
    assert code == 0, out
    assert "submitted" not in out
    assert out.count(": in the queue as SLURM job") == 2
    assert "2 done now, 0 done before, 0 failed" in out
    assert "box AP" in out
    upstream = read_record(runs[0].work_dir / "record.json").provenance.checkpoint_sha256
    assert read_record(runs[1].work_dir / "record.json").provenance.upstream_sha256 == upstream

    code, out = perform(tmp_path, *runs)
    assert "0 done now, 2 done before" in out
    assert {name: job.id for name, job in read_jobs(suite_tag(tmp_path)).items()} == first
    assert [state.split()[0] for state in states(tmp_path).values()] == ["done", "done"]


def test_a_failed_pretraining_leaves_its_transfer_undone_and_is_tried_again(cluster, tmp_path, told):
    runs = [toy(tmp_path, "pretrain", "cutmix", "--fail-once"), toy(tmp_path, "seg", "cutmix")]
    code, out = perform(tmp_path, *runs)
    assert code == 1
    assert "0 done now, 0 done before, 1 failed, 1 skipped" in out, out
    assert "FAILED pretrain/cutmix/seed0 (SLURM job" in out
    assert "    pretrain/cutmix/seed0 failed: exit status 3" in out
    assert "SKIPPED seg/cutmix/seed0: pretrain/cutmix/seed0 failed" in out
    assert not runs[1].work_dir.exists()
    cluster.wait(lambda: not any(job.live for job in read_jobs(suite_tag(tmp_path)).values()))
    assert states(tmp_path)["seg/cutmix/seed0"].startswith("waiting pretrain/cutmix/seed0 failed")
    code, out = perform(tmp_path, *runs)
    assert code == 0, out
    assert runs[0].log.read_text().count("$ ") == 2, "both sessions are in the log"


@pytest.mark.parametrize("how", ["warned", "killed"])
def test_a_run_that_must_give_way_comes_back_and_is_resumed(cluster, tmp_path, told, how):
    runs = [toy(tmp_path, "pretrain", "mixpro", "--sleep-once", "600"), toy(tmp_path, "det", "mixpro")]
    perform(tmp_path, *runs, wait=False)
    cluster.wait((runs[0].work_dir / "slept").exists)
    number = read_jobs(suite_tag(tmp_path))["pretrain/mixpro/seed0"].id
    if how == "warned":  # as before a time limit and, on some clusters, before another job takes the place
        cluster.command("scancel", "--signal=USR2", number)
    else:
        cluster.command("scontrol", "requeue", number)
    cluster.wait(lambda: "BeginTime" in states(tmp_path)["pretrain/mixpro/seed0"])
    assert states(tmp_path)["pretrain/mixpro/seed0"].startswith(f"waiting in the queue as SLURM job {number}")
    # SLURM lets a job that was put back wait for two minutes. A node refuses one that was ended there within a second.
    time.sleep(3)
    cluster.command("scontrol", "update", f"jobid={number}", "StartTime=now")
    code, out = perform(tmp_path, *runs)
    assert code == 0, f"{out}\n{cluster.logs()}"
    assert "submitted" not in out
    assert runs[0].log.read_text().count("$ ") == 2


def test_a_run_that_cannot_begin_names_the_log_of_its_job(cluster, tmp_path):
    code, out = perform(tmp_path, toy(tmp_path, "pretrain", "mixpro"), setup="exit 7")
    assert code == 1
    found = re.search(r"\(SLURM job \d+ FAILED, see (\S+)\)", out)
    assert found, out
    assert Path(found[1]).is_file()


def test_processes_on_several_nodes_find_each_other(cluster, tmp_path):
    run = toy(tmp_path, "pretrain", "mixpro")
    code, out = perform(tmp_path, run, nodes=2)
    assert code == 0, f"{out}\n{run.log.read_text() if run.log.exists() else ''}\n{cluster.logs()}"
    assert "rank 0 of 2" in run.log.read_text()
    assert "rank 1 of 2" in next((tmp_path / "_slurm").glob("*_node1")).read_text()


def test_whoever_stops_watching_leaves_the_jobs(cluster, tmp_path):
    run = toy(tmp_path, "pretrain", "mixpro", "--sleep", "60")
    out = io.StringIO()
    executor = SlurmExecutor(read_options({"gpus": 0}), poll_seconds=0.3)

    def interrupt() -> None:
        cluster.wait(lambda: "submitted" in out.getvalue())
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_suite(Plan("toys", (run,), 1), tmp_path, executor=executor, console=Console(file=out, width=200))
    thread.join()
    job = read_jobs(suite_tag(tmp_path))[run.name]
    assert job.live
    assert f"'scancel {job.id}' ends them" in out.getvalue()


def test_what_is_queued_under_another_config_is_not_mixed_up(cluster, tmp_path):
    run = toy(tmp_path, "pretrain", "mixpro", "--sleep", "60")
    perform(tmp_path, run, wait=False)
    with pytest.raises(UserError, match=r"in the queue as SLURM job \d+ with another config .* 'scancel \d+'"):
        perform(tmp_path, replace(run, facts={"config": "c1", "data": "d0"}))


def test_what_sbatch_refuses_is_told_in_one_sentence(cluster, tmp_path, capsys):
    with pytest.raises(UserError) as error:
        perform(tmp_path, toy(tmp_path, "pretrain", "mixpro"), partition="nowhere")
    assert str(error.value).startswith("sbatch refused pretrain/mixpro/seed0: Invalid partition name specified; what")
    assert capsys.readouterr().err == ""


SUITE = """
name = "slurm"
methods = ["none"]
pretrain = dict(
    config="{root}/configs/pretrain/digits/vit_digits_{{method}}.py",
    options={{
        "train_dataloader.dataset.root": "{data}/cls",
        "val_dataloader.dataset.root": "{data}/cls",
        "test_dataloader.dataset.root": "{data}/cls",
        "train_cfg.max_epochs": 1,
        "train_cfg.val_interval": 1,
        "param_scheduler": [],
        "model.backbone.depth": 1,
    }},
)
tasks = dict(
    seg=dict(
        config="{root}/configs/transfer/seg/upernet_vit-digits_digits.py",
        options={{
            "train_dataloader.dataset.data_root": "{data}/seg",
            "val_dataloader.dataset.data_root": "{data}/seg",
            "test_dataloader.dataset.data_root": "{data}/seg",
            "train_cfg.max_iters": 2,
            "train_cfg.val_interval": 2,
            "train_dataloader.batch_size": 2,
            "param_scheduler": [],
            "model.backbone.depth": 1,
        }},
    )
)
slurm = dict(gpus=0, cpus_per_task=1, time="0:20:00")
"""


@pytest.mark.mm
def test_a_suite_from_its_config_to_the_leaderboard(cluster, tmp_path):
    data = build_digits(tmp_path / "digits", counts=dict(cls=(40, 20), det=(2, 2), seg=(4, 2)))
    config, work = tmp_path / "tiny.py", tmp_path / "work"
    config.write_text(SUITE.format(root=ROOT, data=data))
    command = [sys.executable, "-m", "mixpro_bench", "suite", config, "--work-dir", work, "--executor", "slurm"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=500)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{cluster.logs()}"
    assert "2 runs: 2 done now" in done.stdout
    assert "mIoU" in done.stdout
    assert re.search(r"\| none +\|", (work / "leaderboard.md").read_text())
    seg = (work / "seg/none/seed0/log.txt").read_text()
    assert "transfer" in seg.splitlines()[0]
    assert "--resume" in seg.splitlines()[0]
    jobs = read_jobs(suite_tag(work))
    assert sorted(jobs) == ["pretrain/none/seed0", "seg/none/seed0"]
    # The same once more, in this process: nothing is submitted.
    assert main([str(word) for word in command[3:]]) == 0
    assert read_jobs(suite_tag(work)) == jobs
