"""SLURM's queue where there is no SLURM, and the command of several processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mixpro_bench.cli.main import main
from mixpro_bench.errors import UserError
from mixpro_bench.suite.process import torchrun
from mixpro_bench.suite.queue import Job, facts_tag, job_name, jobs_of, parse_jobs, run_command, suite_tag
from mixpro_bench.suite.run import Run
from mixpro_bench.suite.slurm import SlurmExecutor
from mixpro_bench.suite.slurm_job import rendezvous
from mixpro_bench.suite.slurm_options import read_options


def test_a_job_is_known_by_its_name(tmp_path):
    run = Run("det", "pvt_v2/mixpro", 3, tmp_path / "det", {"config": "c", "data": None})
    tag = suite_tag(tmp_path)
    name = job_name(run, tag)
    lines = [
        f"41|CANCELLED|None|{name}",
        f"43|PENDING|Dependency|{name}",
        f"42|FAILED|x|{name}",
        "44|RUNNING|None|a@b-c",
    ]
    jobs = parse_jobs([*lines, "", "45|RUNNING|None|plain", f"4_1|RUNNING|None|{name}"], tag)
    assert jobs == {run.name: Job("43", "det/pvt_v2/mixpro/seed3", facts_tag(run), "PENDING", "Dependency")}
    assert jobs[run.name].live
    assert str(jobs[run.name]) == "SLURM job 43, Dependency"
    assert suite_tag(tmp_path / "other") != tag
    other = Run("det", "pvt_v2/mixpro", 3, tmp_path / "det", {"config": "d", "data": None})
    assert facts_tag(other) != facts_tag(run)


def test_without_slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="SLURM's sbatch is not on this machine: call the suite on a login node"):
        SlurmExecutor(read_options({})).execute([], tmp_path, None)  # type: ignore[arg-type]
    assert jobs_of({"slurm": {"tag": "ab", "user": 0}}) is None
    assert jobs_of({}) is None


def test_what_a_command_complains_of(tmp_path, monkeypatch):
    program = tmp_path / "squeue"
    program.write_text("#!/bin/sh\necho 'squeue: error: first' >&2\necho 'squeue: error: the last one' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(UserError, match=r"^SLURM's squeue failed: the last one$"):
        run_command("squeue")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--slurm", "gpus=8"], "--slurm is for --executor slurm"),
        (["--no-wait"], "--no-wait is for --executor slurm"),
        (["--executor", "slurm", "--jobs", "2"], "--jobs is for --executor local"),
        (["--executor", "slurm", "--gpus", "2"], "--gpus is for --executor local: say --slurm gpus=N"),
    ],
)
def test_options_of_the_other_executor(tmp_path, capsys, words, sentence):
    assert main(["suite", str(tmp_path / "none.py"), "--work-dir", str(tmp_path / "w"), *words]) == 2
    assert sentence in capsys.readouterr().err


def test_the_command_of_several_processes():
    words = [sys.executable, "-m", "mixpro_bench", "pretrain", "c.py"]
    told = {"SLURM_JOB_ID": "70001", "SLURM_NODEID": "1", "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.7"}
    assert torchrun(words, 1, rendezvous(1, told)) == words
    head, tail = [sys.executable, "-m", "torch.distributed.run"], ["-m", "mixpro_bench", "pretrain", "c.py"]
    assert torchrun(words, 8, rendezvous(1, told)) == [*head, "--nproc-per-node=8", "--standalone", *tail]
    several = ["--nnodes=2", "--node-rank=1", "--master-addr=10.0.0.7", "--master-port=30001"]
    assert torchrun(words, 4, rendezvous(2, told)) == [*head, "--nproc-per-node=4", *several, *tail]
    assert torchrun(words, 1, rendezvous(2, told)) == [*head, "--nproc-per-node=1", *several, *tail]


def test_what_runs_on_this_machine_is_not_looked_for_in_a_queue():
    from mixpro_bench.suite.execute import LocalExecutor

    assert LocalExecutor(1).where(Path("x")) == {}
    with pytest.raises(UserError, match="--jobs must be 1 or more, not 0"):
        LocalExecutor(0)
    with pytest.raises(UserError, match="--gpus must be 1 or more, not 0"):
        LocalExecutor(1, 0)
    with pytest.raises(UserError, match="--gpus 3: this machine has 2"):
        LocalExecutor(1, 3, ("0", "1"))
    assert LocalExecutor(1, 3, ()).processes == 3, "on the CPU"
