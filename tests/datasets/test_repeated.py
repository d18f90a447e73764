"""Repeated augmentation against a slow reference, over processes, epochs and resumption."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from mixpro_bench.datasets.repeated import RepeatedSampler
from mixpro_bench.datasets.seeding import EpochIndex, SeededDataset
from mixpro_bench.errors import UserError
from mixpro_bench.registry import DATA_SAMPLERS
from mixpro_bench.rng import rng

ROOT = Path(__file__).parents[2]
sizes, worlds, batches, counts = st.integers(1, 40), st.integers(1, 4), st.integers(1, 5), st.integers(1, 4)


def sampler(size: int, rank: int = 0, world: int = 1, **options: object) -> RepeatedSampler:
    made = RepeatedSampler(range(size), **{"seed": 0, **options})
    made.rank, made.world_size = rank, world
    return made


def told(indices) -> list[tuple[int, int, int]]:
    return [(int(i), i.epoch, i.repeat) for i in indices]


def slowly(size: int, epoch: int, repeats: int, step: int) -> list[tuple[int, int, int]]:
    """Say what an epoch is in plain words: each picture of the drawn order n times, cut to the length of the set;
    then every global batch is sorted by copy."""
    drawn = [int(i) for i in rng(0, "order", epoch).permutation(size)]
    stream = [(index, epoch, copy) for index in drawn for copy in range(repeats)][:size]
    chunks = [stream[start : start + step] for start in range(0, size, step)]
    return [one for chunk in chunks for copy in range(repeats) for one in chunk if one[2] == copy]


@given(sizes, batches, worlds, counts, st.integers(0, 3))
def test_as_the_slow_reference(size: int, batch: int, world: int, repeats: int, epoch: int) -> None:
    ranks = [sampler(size, r, world, batch_size=batch, repeats=repeats) for r in range(world)]
    for one in ranks:
        one.set_epoch(epoch)
    shares = [told(one) for one in ranks]
    expected = slowly(size, epoch, repeats, batch * world)
    full = size // (batch * world)
    for step in range(full):
        seen = [one for share in shares for one in share[step * batch : (step + 1) * batch]]
        assert seen == expected[step * batch * world : (step + 1) * batch * world]
    rest = expected[full * batch * world :]
    dealt = [one for turn in zip(*(share[full * batch :] for share in shares), strict=True) for one in turn]
    assert dealt[: len(rest)] == rest
    assert {len(share) for share in shares} == {len(ranks[0])}


def test_copies_go_to_different_processes():
    ranks = [list(sampler(240, r, 4, batch_size=12)) for r in range(4)]
    seen = Counter(int(i) for rank in ranks for i in rank)
    assert len(seen) == 80
    assert set(seen.values()) == {3}
    for step in range(5):
        mine = [rank[step * 12 : (step + 1) * 12] for rank in ranks]
        assert all(len(set(batch)) == 12 for batch in mine)
        assert sorted(Counter(itertools.chain(*mine)).values()) == [3] * 16


def test_epochs_draw_anew_and_one_repeat_is_none():
    one = sampler(60, batch_size=6)
    first = told(one)
    assert first == told(one)
    one.set_epoch(1)
    assert {i for i, *_ in told(one)} != {i for i, *_ in first}
    plain = sampler(7, batch_size=2, repeats=1)
    assert [(i, r) for i, _, r in told(plain)] == [(int(i), 0) for i in rng(0, "order", 0).permutation(7)]
    with pytest.raises(UserError, match="repeats=0"):
        sampler(5, repeats=0)


@given(sizes, worlds, batches, st.integers(0, 60), st.booleans())
def test_skip_equals_dropping(size: int, world: int, batch: int, skip: int, infinite: bool) -> None:
    made = sampler(size, world - 1, world, batch_size=batch, infinite=infinite)
    made.set_epoch(2)
    every = told(itertools.islice(made, skip + 20))
    made.skip(skip)
    assert told(itertools.islice(made, 20)) == every[skip : skip + 20]


class Noise(Dataset):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor([index, torch.rand(()).item()], dtype=torch.float64)


@pytest.mark.parametrize("workers", [0, 2])
def test_copies_are_augmented_differently_whatever_the_workers(workers: int) -> None:
    dataset = SeededDataset(Noise(), seed=3)
    loader = DataLoader(dataset, batch_size=6, sampler=sampler(12, batch_size=6), num_workers=workers)
    rows = torch.cat(list(loader)).tolist()
    assert len({tuple(row) for row in rows}) == 12
    assert len({row[0] for row in rows}) == 4
    expected = [dataset[EpochIndex(*one)].tolist() for one in told(sampler(12, batch_size=6))]
    assert rows == expected
    assert dataset[EpochIndex(5, 1)].tolist() != dataset[EpochIndex(5, 1, 1)].tolist()


PROCESS = """
import torch.distributed as dist
from mixpro_bench.datasets.repeated import RepeatedSampler
dist.init_process_group("gloo")
one = RepeatedSampler(range(50), seed=0, batch_size=6)
one.set_epoch(4)
gathered = [None, None]
dist.all_gather_object(gathered, [(int(i), i.repeat) for i in one])
if dist.get_rank() == 0:
    print([gathered[r][s * 6 : s * 6 + 6] for s in range(4) for r in range(2)])
dist.destroy_process_group()
"""


def test_two_real_processes_see_what_one_sees(tmp_path):
    (tmp_path / "p.py").write_text(PROCESS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", tmp_path / "p.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    whole = [(i, r) for i, _, r in slowly(50, 4, 3, 12)][:48]
    assert done.stdout.strip() == str([whole[start : start + 6] for start in range(0, 48, 6)])


def test_built_from_a_config_as_the_runner_does() -> None:
    from mixpro_bench.compat.runner import deterministic

    loader = deterministic(dict(batch_size=4, sampler=dict(type="mixpro_bench.RepeatedSampler", repeats=3)), 7)
    built = DATA_SAMPLERS.build(loader["sampler"], default_args=dict(dataset=range(12), seed=1))
    assert (built.batch_size, built.seed, built.repeats) == (4, 7, 3)
