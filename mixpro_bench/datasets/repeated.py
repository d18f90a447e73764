"""Repeated augmentation: an epoch of a third of the pictures, each three times, augmented differently every time."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

import numpy as np

from mixpro_bench.datasets.seeding import EpochIndex, EpochSampler
from mixpro_bench.errors import UserError
from mixpro_bench.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class RepeatedSampler(EpochSampler):
    """Yields each drawn sample ``repeats`` times in a row of global batches (Hoffer et al., arXiv:1901.09335).

    An epoch has as many samples as without repeats, so it holds only the first ``1 / repeats`` of the drawn order; the
    next epoch draws anew. Within a global batch the copies of a picture lie ``1 / repeats`` of it apart, so that with
    that many processes or more no process has two of them, as DeiT's sampler deals them out (deit/samplers.py, whose
    epoch is cut to a multiple of 256 samples besides; here a loader with ``drop_last`` cuts it to whole batches).

    The order, as `EpochSampler`'s, is a function of (seed, epoch) alone: it can be skipped into without reading, and
    processes of whatever number see the same global batches.

    Args:
        dataset: Anything with a length.
        repeats: Copies of each picture.
        **options: Those of `EpochSampler`.

    Raises:
        UserError: The data set is empty, or ``repeats`` is below 1.
    """

    def __init__(self, dataset: Sized, repeats: int = 3, **options: Any) -> None:
        if repeats < 1:
            raise UserError(f"sampler.repeats={repeats} must be at least 1")
        super().__init__(dataset, **options)
        self.repeats = repeats

    def order(self, epoch: int) -> np.ndarray:
        """Return the order of one epoch: (len(dataset),) numbers ``repeat * len(dataset) + index``."""
        size, step = len(self.dataset), self.batch_size * self.world_size
        places = np.arange(size)
        numbers = super().order(epoch)[places // self.repeats] + places % self.repeats * size
        # First copies, then second ones, and so on, within each global batch; stable, so in the drawn order.
        return numbers[np.lexsort((numbers // size, places // step))]

    def index(self, number: int, epoch: int) -> EpochIndex:
        """Return the sample and its repeat that a number of `order` stands for."""
        repeat, index = divmod(number, len(self.dataset))
        return EpochIndex(index, epoch, repeat)
