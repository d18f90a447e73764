"""Resuming in the middle of a run without reading the data before it.

Reason: an iteration-based run of mmengine's reads and throws away every batch that was already trained; an epoch-based
one that resumes from a checkpoint within an epoch begins that epoch again, while it goes on counting.
Can go when mmengine skips in the sampler.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import EpochBasedTrainLoop as EngineEpochBasedTrainLoop
from mmengine.runner import IterBasedTrainLoop as EngineIterBasedTrainLoop
from torch.utils.data import Sampler

from mixpro_bench.registry import LOOPS


class _Batches:
    """An endless iterator over a loader, started only when the first batch is asked for.

    mmengine starts its workers when the loop is built, before it is known where the run begins.
    """

    def __init__(self, dataloader: Any) -> None:
        self.dataloader = dataloader
        self._iterator: Any = None
        self._epoch = 0

    def __iter__(self) -> _Batches:
        return self

    def __next__(self) -> Any:
        if self._iterator is None:
            self._iterator = iter(self.dataloader)
        try:
            return next(self._iterator)
        except StopIteration:
            self._epoch += 1
            sampler = _sampler(self.dataloader)
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(self._epoch)
            self._iterator = iter(self.dataloader)
            return next(self._iterator)


@LOOPS.register_module()
class IterBasedTrainLoop(EngineIterBasedTrainLoop):
    """mmengine's loop; a resumed run skips in the sampler where the sampler can (`EpochSampler` does)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        from mmengine.runner import loops

        # Only for the time of this call: the parent would start the workers now.
        eager, loops._InfiniteDataloaderIterator = loops._InfiniteDataloaderIterator, _Batches
        try:
            super().__init__(*args, **kwargs)
        finally:
            loops._InfiniteDataloaderIterator = eager

    def run(self) -> Any:
        """Train from where the run stands to the last iteration, validating in between."""
        runner = self.runner
        runner.call_hook("before_train")
        runner.call_hook("before_train_epoch")
        if self._iter > 0:
            for _ in range(skip(self.dataloader, self._iter)):
                next(self.dataloader_iterator)
        while self._iter < self._max_iters and not self.stop_training:
            runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._decide_current_val_interval()
            due = self._iter % self.val_interval == 0 or self._iter == self._max_iters
            if runner.val_loop is not None and self._iter >= self.val_begin and due:
                runner.val_loop.run()
        runner.call_hook("after_train_epoch")
        runner.call_hook("after_train")
        return runner.model


@LOOPS.register_module()
class EpochBasedTrainLoop(EngineEpochBasedTrainLoop):
    """mmengine's loop; the first epoch of a resumed run begins where its checkpoint was written."""

    def run_epoch(self) -> None:
        """Train the rest of an epoch; what comes behind its last step still comes if only that is left."""
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        done = self._iter - self._epoch * len(self.dataloader)
        unwanted = skip(self.dataloader, done) if done else 0
        for index, batch in enumerate(itertools.islice(self.dataloader, unwanted, None), start=done):
            self.run_iter(index, batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1


def skip(dataloader: Any, batches: int) -> int:
    """Let the next iteration over a loader begin after ``batches`` batches, among the indices, reading none.

    Returns:
        The number of batches to be read and thrown away: none, or all of them where the loader's samplers cannot skip.
    """
    for skipper in (dataloader.batch_sampler, dataloader.sampler):
        if hasattr(skipper, "skip"):
            skipper.skip(batches if skipper is dataloader.batch_sampler else batches * dataloader.batch_size)
            return 0
    return batches


class SkippingBatches(Sampler):
    """A batch sampler that can begin later: mmdet's grouping by aspect ratio depends on all the indices before.

    Args:
        batches: The batch sampler.
    """

    def __init__(self, batches: Any) -> None:
        self.batches = batches
        self._skip = 0

    def __getattr__(self, name: str) -> Any:
        """Return the inner batch sampler's attribute."""
        if name == "batches" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.batches, name)

    def __iter__(self) -> Iterator[list[int]]:
        """Iterate over batches of indices, from where `skip` said."""
        start, self._skip = self._skip, 0
        return itertools.islice(iter(self.batches), start, None)

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.batches)

    def skip(self, batches: int) -> None:
        """Begin the next iteration, and only that one, after ``batches`` batches. Reads no data."""
        self._skip = int(batches)


def skipping_batches(sampler: Any, batch_size: int, inner: dict[str, Any]) -> SkippingBatches:
    """Build a batch sampler from its config ``inner`` and let it skip; called by mmengine in the place of ``inner``."""
    return SkippingBatches(DATA_SAMPLERS.build(inner, default_args={"sampler": sampler, "batch_size": batch_size}))


def _sampler(dataloader: Any) -> Any:
    batch_sampler = getattr(dataloader, "batch_sampler", None)
    return getattr(batch_sampler, "sampler", None) or dataloader.sampler
