from __future__ import annotations

import itertools
import pickle
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from mixpro_bench.datasets.seeding import EpochIndex, EpochSampler, SeededDataset
from mixpro_bench.errors import UserError
from mixpro_bench.registry import DATA_SAMPLERS

sizes = st.integers(1, 40)
worlds = st.integers(1, 4)
batches = st.integers(1, 5)
seeds = st.integers(0, 2**31)


def sampler(size: int, rank: int = 0, world: int = 1, **options: object) -> EpochSampler:
    made = EpochSampler(range(size), **{"seed": 0, **options})
    made.rank, made.world_size = rank, world
    return made


class Noise(Dataset):
    """Every generator an augmentation may draw from."""

    metainfo = {"classes": ("a",)}

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> torch.Tensor:
        assert type(index) is int
        return torch.tensor([index, random.random(), np.random.rand(), torch.rand(()).item()], dtype=torch.float64)


def test_index_survives_pickle_and_is_an_int() -> None:
    index = pickle.loads(pickle.dumps(EpochIndex(5, 3)))
    assert index == 5
    assert isinstance(index, EpochIndex)
    assert index.epoch == 3
    assert np.arange(9)[index] == 5


@given(sizes, seeds, st.integers(0, 5))
def test_an_epoch_is_a_permutation(size: int, seed: int, epoch: int) -> None:
    one = sampler(size, seed=seed, batch_size=4)
    one.set_epoch(epoch)
    seen = list(one)
    assert sorted(seen) == list(range(size))
    assert {index.epoch for index in seen} == {epoch}
    assert len(one) == size


def test_epochs_and_seeds_differ() -> None:
    one, other = sampler(50), sampler(50, seed=1)
    first = list(one)
    assert first == list(one)
    assert first != list(other)
    one.set_epoch(1)
    assert first != list(one)
    assert list(sampler(5, shuffle=False)) == [0, 1, 2, 3, 4]


@given(sizes, worlds, batches, st.booleans())
def test_ranks_partition_each_global_batch(size: int, world: int, batch: int, round_up: bool) -> None:
    whole = list(sampler(size, batch_size=batch * world))
    ranks = [list(s) for s in (sampler(size, r, world, batch_size=batch, round_up=round_up) for r in range(world))]
    lengths = {len(sampler(size, r, world, batch_size=batch, round_up=round_up)) for r in range(world)}
    assert lengths == {len(rank) for rank in ranks}
    for step in range(size // (batch * world)):
        mine = [rank[step * batch : (step + 1) * batch] for rank in ranks]
        assert list(itertools.chain(*mine)) == whole[step * batch * world : (step + 1) * batch * world]
    if round_up:
        assert len(lengths) == 1
        # mmengine gathers by zipping the ranks and cutting to the size of the dataset: that must drop the padding.
        assert sorted(itertools.islice(itertools.chain(*zip(*ranks, strict=True)), size)) == list(range(size))
    else:
        assert sorted(itertools.chain(*ranks)) == list(range(size))


@given(sizes, worlds, batches, st.integers(0, 100), st.booleans())
def test_skip_equals_dropping(size: int, world: int, batch: int, skip: int, infinite: bool) -> None:
    made = sampler(size, world - 1, world, batch_size=batch, infinite=infinite)
    made.set_epoch(2)
    every = [(int(i), i.epoch) for i in itertools.islice(made, skip + 30)]
    made.skip(skip)
    assert [(int(i), i.epoch) for i in itertools.islice(made, 30)] == every[skip : skip + 30]
    assert [(int(i), i.epoch) for i in itertools.islice(made, skip + 30)] == every


@given(sizes, worlds, batches)
def test_endless_stream_is_the_epochs_in_a_row(size: int, world: int, batch: int) -> None:
    steps = 3 * size // (batch * world) + 1
    ranks = [
        list(itertools.islice(sampler(size, r, world, batch_size=batch, infinite=True), steps * batch))
        for r in range(world)
    ]
    stream = [i for s in range(steps) for rank in ranks for i in rank[s * batch : (s + 1) * batch]]
    reference = sampler(size)
    for epoch in range(len(stream) // size):
        part = stream[epoch * size : (epoch + 1) * size]
        reference.set_epoch(epoch)
        assert part == list(reference)
        assert {index.epoch for index in part} == {epoch}


@pytest.mark.parametrize("workers", [0, 2])
def test_augmentation_depends_on_epoch_and_index_alone(workers: int) -> None:
    dataset = SeededDataset(Noise(), seed=3)
    order = sampler(12, batch_size=3)
    loader = DataLoader(dataset, batch_size=3, sampler=order, num_workers=workers, persistent_workers=workers > 0)
    epochs = []
    for epoch in range(2):
        order.set_epoch(epoch)
        rows = torch.cat(list(loader))
        epochs.append(rows[rows[:, 0].argsort()])
    expected = [torch.stack([dataset[EpochIndex(i, epoch)] for i in range(12)]) for epoch in range(2)]
    torch.testing.assert_close(torch.stack(epochs), torch.stack(expected), rtol=0, atol=0)
    assert not (epochs[0][:, 1:] == epochs[1][:, 1:]).any()
    torch.testing.assert_close(dataset[4], dataset[EpochIndex(4, 0)], rtol=0, atol=0)
    assert (dataset[4] != SeededDataset(Noise(), seed=4)[4])[1:].all()


def test_loading_leaves_the_generators_alone() -> None:
    dataset = SeededDataset(Noise(), seed=3)
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    plain = torch.rand(()).item(), np.random.rand(), random.random()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    dataset[2]
    assert (torch.rand(()).item(), np.random.rand(), random.random()) == plain


def test_wrapper_is_transparent() -> None:
    inner = Noise()
    dataset = pickle.loads(pickle.dumps(SeededDataset(inner, seed=3)))
    assert len(dataset) == 12
    assert dataset.metainfo == inner.metainfo
    dataset.pipeline = "exchanged"
    assert dataset.dataset.pipeline == "exchanged"
    assert not hasattr(dataset, "full_init")


def test_empty_data_are_refused() -> None:
    with pytest.raises(UserError, match="holds no samples"):
        sampler(0)


def test_built_from_a_config() -> None:
    built = DATA_SAMPLERS.build(
        dict(type="mixpro_bench.EpochSampler", batch_size=2), default_args=dict(dataset=range(4), seed=0)
    )
    assert sorted(built) == [0, 1, 2, 3]
