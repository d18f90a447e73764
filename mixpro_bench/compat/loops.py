"""Resuming in the middle of an iteration-based run without reading the data before it.

Reason: mmengine reads and throws away every batch that was already trained.
Can go when mmengine skips in the sampler.
"""

from __future__ import annotations

from typing import Any

from mmengine.runner import IterBasedTrainLoop as EngineIterBasedTrainLoop

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
        """Train; the parent's advance over trained batches finds nothing to do where the sampler skipped them."""
        sampler = _sampler(self.dataloader)
        if self._iter == 0 or not hasattr(sampler, "skip"):
            return super().run()
        batch_size = self.dataloader.batch_size or getattr(self.dataloader.batch_sampler, "batch_size", None)
        sampler.skip(self._iter * batch_size)
        return self._run_from(self._iter)

    def _run_from(self, start: int) -> Any:
        """Run the parent's loop from ``start`` without its advance, which it does only when it starts above zero."""
        batches, self.dataloader_iterator = self.dataloader_iterator, _SkipFirst(self.dataloader_iterator, start)
        try:
            return super().run()
        finally:
            self.dataloader_iterator = batches


class _SkipFirst:
    """Answers the first ``count`` requests with nothing: the batches that the sampler has skipped already."""

    def __init__(self, batches: Any, count: int) -> None:
        self.batches, self.count = batches, count

    def __next__(self) -> Any:
        if self.count > 0:
            self.count -= 1
            return None
        return next(self.batches)


def _sampler(dataloader: Any) -> Any:
    batch_sampler = getattr(dataloader, "batch_sampler", None)
    return getattr(batch_sampler, "sampler", None) or dataloader.sampler
