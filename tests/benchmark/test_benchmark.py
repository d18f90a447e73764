"""The benchmarks run, compare with their base, and say so in both forms. Whether numbers are good is not tested."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mixpro_bench.benchmark.measure import compare, interleave, peak_bytes
from mixpro_bench.benchmark.mixing import OPERATIONS
from mixpro_bench.benchmark.step import METHODS, benchmark_step, own_half, rows_of
from mixpro_bench.cli.benchmark import table
from mixpro_bench.cli.main import main
from mixpro_bench.errors import UserError
from mixpro_bench.pretrain import build_policy

CPU = torch.device("cpu")
TINY = dict(
    type="mixpro_bench.TimmBackbone",
    name="vit_tiny_patch16_224",
    img_size=16,
    patch_size=4,
    embed_dim=16,
    depth=2,
    num_heads=2,
    num_classes=5,
)


@pytest.mark.mm
@pytest.mark.parametrize("amp", [False, True])
def test_every_method_has_a_row_relative_to_none(amp: bool) -> None:
    result = benchmark_step(METHODS, TINY, CPU, batch_size=4, img_size=16, amp=amp, rounds=2, warm_up=1)
    rows = {row["method"]: row for row in result["rows"]}
    assert list(rows) == [
        *("none", "cutmix", "maskmix", "mixpro", "transmix", "tl-align", "tokenmix", "smmix", "smmix-fixed")
    ]
    assert rows["none"]["ratio"] == rows["none"]["memory_ratio"] == 1
    for row in rows.values():
        assert row["ms"] > 0
        assert row["low"] <= row["ratio"] <= row["high"]
        assert row["peak_mib"] > 0
    # A second forward pass and the carried share cannot be free of memory.
    assert rows["tl-align"]["memory_ratio"] > 1
    assert result["amp"] == ("bfloat16" if amp else None)
    text = table(json.loads(json.dumps(result)))
    assert "smmix-fixed" in text
    assert "ratio" in text


def test_the_branch_of_the_method_runs_at_every_step() -> None:
    branches = {name: build_policy(own_half(name, 8)).branches for name in rows_of(METHODS)}
    assert all(len(each) == 1 and each[0].prob == 1 for each in branches.values())
    pairs = {name: f"{type(b.mixer).__name__}+{type(b.labeler).__name__}" for name, (b,) in branches.items()}
    assert pairs["maskmix"] == "MaskMix+AreaLabel"
    assert pairs["mixpro"] == "MaskMix+PAL"
    assert pairs["transmix"] == "CutMix+TransMix"
    assert pairs["tl-align"] == "TokenCutMix+TLAlign"
    assert pairs["smmix-fixed"] == "SMMix+SMMixLabel"


def test_image_operations_from_the_command_line(capsys: pytest.CaptureFixture) -> None:
    line = "mixing --batch-size 4 --img-size 64 --steps 2 --device cpu --json"
    assert main(["benchmark", *line.split()]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["operation"] for row in result["rows"]] == ["copy", *OPERATIONS]
    copy = result["rows"][0]
    assert copy["ratio"] == 1
    assert copy["peak_mib"] == pytest.approx(4 * 3 * 64 * 64 * 4 / 2**20)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mixing --batch-size 3", "--batch-size 3"),
        ("mixing --img-size 100", "--img-size 100"),
        ("mixing --steps 0", "--steps 0"),
        ("mixing --device tpu", "--device tpu"),
        ("step --methods none,mixprro", "--methods mixprro"),
        ("step --model deit_tinny_patch16_224", "deit_tiny_patch16_224"),
    ],
)
def test_wrong_arguments_are_refused(capsys: pytest.CaptureFixture, line: str, words: str) -> None:
    assert main(["benchmark", *line.split()]) == 2
    assert words in capsys.readouterr().err


def test_work_is_done_in_turn_and_warm_up_does_not_count() -> None:
    calls: list[tuple[str, int]] = []
    works = {name: (lambda number, name=name: calls.append((name, number))) for name in "abc"}
    seconds = interleave(works, rounds=3, device=CPU, warm_up=1)
    assert [number for _, number in calls] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert all(sorted(name for name, n in calls if n == number) == list("abc") for number in range(4))
    assert len({name for name, _ in calls[3::3]}) == 3  # another one begins each round
    assert all(len(times) == 3 for times in seconds.values())


def test_ratios_are_taken_within_rounds() -> None:
    base = np.array([1.0, 10.0, 2.0, 5.0, 1.5])  # a machine that changes its pace
    found = compare({"base": base, "slow": 1.25 * base}, "base")
    assert found["slow"]["ratio"] == found["slow"]["low"] == found["slow"]["high"] == pytest.approx(1.25)


def test_peak_memory_is_the_worst_moment() -> None:
    def work() -> None:
        for _ in range(3):
            a = torch.ones(1 << 18)  # 1 MiB each, two at a time
            b = a + 1
            del a, b

    assert peak_bytes(work, CPU) == pytest.approx(2 << 20, rel=0.01)


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(UserError, match="mixprro"):
        rows_of(["none", "mixprro"])
