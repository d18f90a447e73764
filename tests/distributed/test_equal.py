"""Two processes, one process, one process in two passes: the same draws and, but for rounding, the same weights."""

from __future__ import annotations

import json
import subprocess
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch

from mixpro_bench.compat.checkpoint import load_checkpoint

pytestmark = [pytest.mark.mm, pytest.mark.slow]

STEPS = 12
ROUNDING = 1e-5
# A key's bias adds the same to all scores of a query, which softmax takes out again: its gradient is nothing but
# rounding, and AdamW divides that by its own size. It moves by a part of the rate, 1e-3, in each step.
KEY_BIAS = 1e-3


def spied(folder: Path) -> list[dict[str, Any]]:
    """What each process saw."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("spy_*.json"))]


def steps(folder: Path, passes: int = 1) -> list[list[dict[str, Any]]]:
    """The samples of each step in the order of the global batch: pass by pass, and process by process in each."""
    by_pass = [list(chain.from_iterable(rows)) for rows in zip(*(seen["steps"] for seen in spied(folder)), strict=True)]
    return [list(chain.from_iterable(by_pass[i : i + passes])) for i in range(0, len(by_pass), passes)]


def weights(folder: Path, part: str = "state_dict") -> dict[str, torch.Tensor]:
    found = load_checkpoint(next(folder.glob("*.pth")))[part]
    return {name: value for name, value in found.items() if value.is_floating_point()}


def assert_close(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        off = (value - theirs[name]).abs()
        if name.endswith("qkv.bias"):
            first, key, last = off.chunk(3)
            assert key.max() < KEY_BIAS, name
            off = torch.cat((first, last))
        assert off.max() < ROUNDING, f"{name} is off by {off.max():.1e}"


def farthest(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    return max(float((value - theirs[name]).abs().max()) for name, value in ours.items())


@pytest.mark.parametrize("method", ["mixpro", "cutmix", "smmix"])
def test_two_processes_see_the_draws_of_one(work, method):
    one, two = steps(work / f"{method}-1"), steps(work / f"{method}-2")
    assert one == two
    assert [len(rows) for rows in one] == [16] * STEPS
    for rows in one:
        for start in range(0, 16, 4):
            group = rows[start : start + 4]
            assert {row["partner"] for row in group} <= {row["sample"] for row in group}
        if method != "smmix":  # whose share is a constant
            assert len({row["lam"] for row in rows}) > 1, "each mixing group draws a lambda of its own"
    if method == "mixpro":
        assert {row["method"] for rows in one for row in rows} == {"maskmix", "mixup", "cutmix"}


@pytest.mark.parametrize("method", ["mixpro", "cutmix", "smmix"])
@pytest.mark.parametrize("part", ["state_dict", "ema_state_dict"])
def test_two_processes_train_the_weights_of_one(work, method, part):
    assert_close(weights(work / f"{method}-1", part), weights(work / f"{method}-2", part))


def test_the_average_is_another_set_of_weights(work):
    one = load_checkpoint(next((work / "mixpro-1").glob("*.pth")))
    plain = {name.removeprefix("module."): value for name, value in one["ema_state_dict"].items()}
    assert farthest(one["state_dict"], plain) > 100 * ROUNDING


def test_other_draws_give_other_weights(work):
    """The comparisons above can fail: what differs but in a group's size ends two orders of magnitude beyond them."""
    assert steps(work / "mixpro-1") != steps(work / "groups-2")
    assert farthest(weights(work / "mixpro-1"), weights(work / "groups-2")) > 100 * ROUNDING


@pytest.mark.parametrize("name", ["passes-1", "passes-2"])
def test_accumulated_passes_see_and_train_what_one_pass_does(work, name):
    assert steps(work / "mixpro-1") == steps(work / name, passes=2)
    for part in ("state_dict", "ema_state_dict"):
        assert_close(weights(work / "mixpro-1", part), weights(work / name, part))


def test_segmentation(work):
    """Group norm and a loss over equally many pixels: UperNet does not notice how its batch is cut.

    Mask R-CNN does: its samplers of boxes and its loss' normalisation look at the images of one process.
    """
    assert steps(work / "upernet-1") == steps(work / "upernet-2")
    assert_close(weights(work / "upernet-1"), weights(work / "upernet-2"))


@pytest.mark.parametrize("name", ["mixpro-2", "passes-2", "amp-2", "upernet-2"])
def test_processes_agree_to_the_bit(work, name):
    first, second = spied(work / name)
    assert first["weights"] == second["weights"]
    assert first["steps"] != second["steps"]


def test_bfloat16_and_recomputed_activations(work):
    full, half = (spied(work / name)[0]["losses"] for name in ("mixpro-2", "amp-2"))
    assert len(half) == STEPS
    assert full[0] != half[0]
    assert full[0] == pytest.approx(half[0], rel=0.02)
    assert all(torch.isfinite(value).all() for value in weights(work / "amp-2").values())


def test_a_batch_that_cannot_be_dealt_out(config, environment):
    command = ["bash", "tools/pretrain.sh", str(config("mixpro-2")), "2", "--global-batch", "17"]
    done = subprocess.run(command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "mixpro-bench: a global batch of 17 images cannot be dealt out evenly to 2 processes: "
        "give a multiple of 2, or start another number of processes"
    )
    assert "Traceback" not in done.stderr


@pytest.mark.gpu
def test_more_processes_than_gpus(config, environment):
    asked = torch.cuda.device_count() + 1
    environment = {name: value for name, value in environment.items() if name != "CUDA_VISIBLE_DEVICES"}
    command = ["bash", "tools/pretrain.sh", str(config("mixpro-1")), str(asked)]
    done = subprocess.run(command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"mixpro-bench: {asked} processes were asked for on this machine" in done.stderr.splitlines()[-1]
