"""From a suite's words about SLURM to options of sbatch."""

from __future__ import annotations

import pytest
from submitit.slurm.slurm import _make_sbatch_string

from mixpro_bench.errors import UserError
from mixpro_bench.suite.slurm_options import SlurmOptions, minutes_of, read_options


@pytest.mark.parametrize(
    ("told", "minutes"),
    [
        (30, 30), ("30", 30), ("30:00", 30), ("30:01", 31), ("1:30:00", 90), ("1:0:1", 61),
        ("2-0", 2880), ("2-00:30", 2910), ("1-02:03:04", 1564), ("0:0:1", 1),
    ],
)  # fmt: skip
def test_time_limits_are_read_as_sbatch_reads_them(told, minutes):
    assert minutes_of(told) == minutes


@pytest.mark.parametrize("told", ["", "soon", "-5", "1h", 0, "0:00", "1:2:3:4", None, 1.5])
def test_other_time_limits_are_refused(told):
    with pytest.raises(UserError, match="slurm time is"):
        minutes_of(told)


def test_a_task_and_the_command_line_win():
    settings = {"partition": "gpu", "gpus": 8, "time": "2-0", "det": {"gpus": 4, "time": "6:00:00"}}
    options = read_options(settings, ["gpus=2", "seg.partition=small", "account=lab", "exclusive=true"])
    assert options["pretrain"] == SlurmOptions(
        gpus=2, minutes=2880, sbatch={"partition": "gpu", "account": "lab", "exclusive": True}
    )
    assert (options["det"].gpus, options["det"].minutes) == (2, 360), "a word for all tasks wins over the settings"
    assert options["seg"].sbatch["partition"] == "small"
    assert read_options(settings)["det"].gpus == 4
    assert settings["det"] == {"gpus": 4, "time": "6:00:00"}


def test_what_sbatch_is_given():
    options = read_options({"gpus": 4, "nodes": 2, "time": 90, "setup": "module load cuda", "reservation": "week"})
    assert options["det"].processes == 8
    text = _make_sbatch_string("run", "/folder", **options["det"].parameters())
    lines = set(text.splitlines())
    assert {
        "#SBATCH --gpus-per-node=4", "#SBATCH --nodes=2", "#SBATCH --ntasks-per-node=1", "#SBATCH --time=90",
        "#SBATCH --cpus-per-task=32", "#SBATCH --requeue", "#SBATCH --kill-on-invalid-dep=yes",
        "#SBATCH --signal=USR2@120", "#SBATCH --reservation=week", "module load cuda",
    } <= lines  # fmt: skip
    assert next(line for line in lines if line.startswith("srun")).endswith("--cpus-per-task=32 run")


def test_without_a_gpu():
    text = _make_sbatch_string("run", "/folder", **read_options({"gpus": 0, "cpus-per-task": 3})["det"].parameters())
    assert "gpus" not in text
    assert "#SBATCH --cpus-per-task=3" in text


@pytest.mark.parametrize(
    ("settings", "words", "sentence"),
    [
        ({"gpus": -1}, [], "slurm option gpus is -1: give a whole number of 0 or more"),
        ({"nodes": "two"}, [], "slurm option nodes is 'two': give a whole number of 1 or more"),
        ({"dependency": "afterok:3"}, [], "slurm option 'dependency' is set by the suite itself: leave it out"),
        ({"job-name": "x"}, [], "slurm option 'job_name' is set by the suite itself: leave it out"),
        ({"pretran": {"gpus": 8}}, [], "which only tasks are: did you mean pretrain?"),
        ({}, ["gpu"], "--slurm gpu is not key=value or task.key=value, such as partition=gpu or det.gpus=4"),
        ({}, ["x.gpus=1"], "--slurm x.gpus=1 is not key=value or task.key=value, such as partition=gpu or det.gpus=4"),
        ({}, ["time=later"], "slurm time is 'later': write minutes, hours:minutes:seconds"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused_in_one_sentence(settings, words, sentence):
    with pytest.raises(UserError) as error:
        read_options(settings, words)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
