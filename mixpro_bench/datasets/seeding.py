"""Which samples, in which order, under which augmentation: functions of (seed, epoch, index), whatever the workers do.

The epoch travels with the index. A loader with persistent workers has copies of the dataset that nobody can tell about
a new epoch; the sampler can, because what it yields goes through the queue. So the order and the augmentations of a run
do not depend on the number of workers or processes, and a resumed run starts in the middle without reading any data.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Dataset, Sampler

from mixpro_bench.errors import UserError
from mixpro_bench.registry import DATA_SAMPLERS
from mixpro_bench.rng import rng, seed32


class EpochIndex(int):
    """A sample index that knows its epoch, and which of its repeats in that epoch it is; elsewhere the plain number.

    Examples:
        >>> index = EpochIndex(7, epoch=2)
        >>> index == 7, index.epoch, index.repeat
        (True, 2, 0)
    """

    epoch: int
    repeat: int

    def __new__(cls, value: int, epoch: int = 0, repeat: int = 0) -> EpochIndex:
        """Make an index of ``epoch``."""
        index = super().__new__(cls, value)
        index.epoch, index.repeat = epoch, repeat
        return index

    def __reduce__(self) -> tuple[type[EpochIndex], tuple[int, int, int]]:
        """Pickle with epoch and repeat, for the queues between loader and workers."""
        return EpochIndex, (int(self), self.epoch, self.repeat)


@DATA_SAMPLERS.register_module()
class EpochSampler(Sampler):
    """Yields `EpochIndex` in an order drawn from (seed, epoch).

    The order is cut into global batches of ``batch_size * world_size``; process r takes the r-th contiguous slice of
    each. One process and several with the same global batch therefore see the same samples at each step. What is left
    behind the last full global batch is dealt out in turn (rank r takes every ``world_size``-th), the distribution
    that mmengine's collection of results undoes when it drops padding.

    Args:
        dataset: Anything with a length.
        seed: The run's seed; the same in all processes. None takes one that mmengine agrees on.
        shuffle: False keeps the order of the dataset.
        round_up: Repeat samples from the start of the order until every process has the same number. Without it the
            processes may differ by one. Meaningless when ``infinite``.
        batch_size: Samples per process and step, as given to the loader.
        infinite: Go on for ever with a rising epoch, for iteration-based loops: global batches then run across the
            border of two epochs and none is cut short.

    Raises:
        UserError: The data set is empty.
    """

    def __init__(
        self,
        dataset: Sized,
        seed: int | None = None,
        shuffle: bool = True,
        round_up: bool = True,
        batch_size: int = 1,
        infinite: bool = False,
    ) -> None:
        if not len(dataset):
            raise UserError("the data set holds no samples: correct its folder, annotation file or filter_cfg")
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.seed = sync_random_seed() if seed is None else int(seed)
        self.shuffle = shuffle
        self.round_up = round_up
        self.batch_size = int(batch_size)
        self.infinite = infinite
        self.epoch = 0
        self._skip = 0

    def order(self, epoch: int) -> np.ndarray:
        """Return the order of one epoch: (len(dataset),) numbers for `index`, the same in every process."""
        size = len(self.dataset)
        return rng(self.seed, "order", epoch).permutation(size) if self.shuffle else np.arange(size)

    def index(self, number: int, epoch: int) -> EpochIndex:
        """Return the sample that a number of `order` stands for."""
        return EpochIndex(number, epoch)

    def __iter__(self) -> Iterator[EpochIndex]:
        """Iterate over this process' share, from where `skip` said."""
        start, self._skip = self._skip, 0
        if self.infinite:
            yield from self._endless(start)
        else:
            share = self._share(self.order(self.epoch))
            yield from (self.index(number, self.epoch) for number in share[start:].tolist())

    def _share(self, order: np.ndarray) -> np.ndarray:
        """Cut this process' share, in loader order, out of the order of an epoch."""
        step = self.batch_size * self.world_size
        full = len(order) // step * step
        slices = order[:full].reshape(-1, self.world_size, self.batch_size)[:, self.rank].ravel()
        rest = order[full:]
        if self.round_up and len(rest) % self.world_size:
            padding = np.resize(order, self.world_size - len(rest) % self.world_size)
            rest = np.concatenate([rest, padding])
        return np.concatenate([slices, rest[self.rank :: self.world_size]])

    def _endless(self, start: int) -> Iterator[EpochIndex]:
        """Iterate over the stream of all epochs, beginning ``start`` samples of this process into it."""
        size = len(self.dataset)
        epoch, order = -1, np.empty(0, dtype=np.int64)
        count = start
        while True:
            step, within = divmod(count, self.batch_size)
            position = (step * self.world_size + self.rank) * self.batch_size + within
            if position // size != epoch:
                epoch = position // size
                order = self.order(self.epoch + epoch)
            yield self.index(int(order[position % size]), self.epoch + epoch)
            count += 1

    def __len__(self) -> int:
        """Return this process' number of samples per epoch."""
        if self.infinite or self.round_up:
            return -(-len(self.dataset) // self.world_size)
        return len(self._share(np.arange(len(self.dataset))))

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration; the epoch an endless iteration begins with."""
        self.epoch = epoch

    def skip(self, samples: int) -> None:
        """Begin the next iteration, and only that one, after ``samples`` samples of this process. Reads nothing."""
        self._skip = int(samples)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Python's, NumPy's legacy and torch's CPU generator with 32 bits, and put them back as they were.

    Libraries draw augmentations from these three. Putting them back keeps a loader without workers from touching the
    generators that training draws from.
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


class SeededDataset(Dataset):
    """A dataset whose sample i of epoch e is always augmented the same way; any other attribute is the inner one's.

    The repeats of a sample in one epoch are augmented each in its own way; plain integers count as epoch 0. Works
    around any map-style dataset that draws from Python's, NumPy's legacy or torch's CPU generator, such as those of
    mmdet and mmseg; when these retry with another index, that is drawn too.

    Args:
        dataset: The dataset.
        seed: The run's seed.
    """

    _OWN = frozenset({"dataset", "seed"})

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __getitem__(self, index: int) -> Any:
        """Load one sample under the generators of (seed, epoch, index, repeat)."""
        repeat = getattr(index, "repeat", 0)
        purpose = f"augment, repeat {repeat}" if repeat else "augment"
        with seeded(seed32(self.seed, purpose, getattr(index, "epoch", 0), int(index))):
            return self.dataset[int(index)]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        """Return the inner dataset's attribute."""
        if name in self._OWN or name.startswith("__"):  # unpickling asks before these exist
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set the inner dataset's attribute: hooks that exchange a pipeline must reach the dataset that uses it."""
        if name in self._OWN:
            object.__setattr__(self, name, value)
        else:
            setattr(self.dataset, name, value)
