"""The hook that ends a run whose losses or gradients keep being NaN or infinite, and says which files were at work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import Hook, LoggerHook
from mmengine.model import is_model_wrapper
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from mixpro_bench.errors import UserError
from mixpro_bench.registry import HOOKS

SKIPPED_KEY = "mixpro_bench/skipped_steps"
_SHOWN = 8


@dataclass(frozen=True)
class _Step:
    """One step of the optimizer: its iteration, whether it was left out, whether this process' loss was why, its data.

    The two flags are on the device; a batch is an index tensor or a list of file names.
    """

    iteration: int
    skipped: Tensor
    lost: Tensor
    batches: list[Any]


@HOOKS.register_module()
class FiniteHook(Hook):
    """Count the steps that the optimizer wrapper left out because something was not finite, and stop at too many.

    The wrapper leaves them out on the device, so the weights are never touched; running statistics of batch norms,
    which the forward pass changes, are put back here. What happened is read at the log interval, from all processes
    together. A run that stops has an intact last checkpoint.

    Args:
        max_skipped: Steps that may be left out in the whole run, earlier sessions included.
        interval: Iterations between readings; None takes that of the LoggerHook.

    Raises:
        UserError: ``max_skipped`` is negative; while training, when more steps than that were left out.
    """

    # Before weights are averaged, and before a checkpoint is written.
    priority = "HIGH"

    def __init__(self, max_skipped: int = 10, interval: int | None = None) -> None:
        if max_skipped < 0:
            raise UserError(f"default_hooks.finite.max_skipped is {max_skipped}: use 0 or more")
        self.max_skipped = max_skipped
        self.interval = interval
        self._total = 0
        self._steps: list[_Step] = []
        self._batches: list[Any] = []
        self._statistics: list[tuple[Tensor, Tensor]] = []

    def before_train(self, runner: Any) -> None:
        """Take up the count, and keep the running statistics as they are."""
        if self.interval is None:
            self.interval = next((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), 10)
        self._total = int(runner.message_hub.runtime_info.get(SKIPPED_KEY, 0))
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
        running = [buffer for norm in norms for buffer in (norm.running_mean, norm.running_var)]
        self._statistics = [(buffer, buffer.clone()) for buffer in running]

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Note the step; at the log interval, read what was noted."""
        wrapper = runner.optim_wrapper
        self._batches.append(_sources(data_batch))
        skipped, lost = getattr(wrapper, "skipped", None), getattr(wrapper, "lost", None)
        if skipped is not None and lost is not None:
            wrapper.skipped = wrapper.lost = None
            for buffer, kept in self._statistics:
                buffer.copy_(torch.where(skipped, kept, buffer))
                kept.copy_(buffer)
            self._steps.append(_Step(runner.iter + 1, skipped, lost, self._batches))
            self._batches = []
        if (
            runner.iter + 1 >= runner.max_iters
            or self.every_n_inner_iters(batch_idx, self.interval)
            or self.end_of_epoch(runner.train_dataloader, batch_idx)
        ):
            self._read(runner)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Count what was not read yet: a checkpoint is written by one process, so the others are not asked."""
        unread = sum(torch.stack([step.skipped for step in self._steps]).tolist()) if self._steps else 0
        runner.message_hub.update_info(SKIPPED_KEY, self._total + unread)

    def _read(self, runner: Any) -> None:
        """Read the flags: one reading from the device. All processes come by here at the same iterations."""
        steps, self._steps = self._steps, []
        if not steps:
            return
        skipped = torch.stack([step.skipped for step in steps]).int()
        all_reduce(skipped, op="max")
        flags = torch.stack([skipped, torch.stack([step.lost for step in steps]).int()]).tolist()
        found = [(step, bool(lost)) for step, left_out, lost in zip(steps, *flags, strict=True) if left_out]
        if not found:
            return
        self._total += len(found)
        runner.message_hub.update_info(SKIPPED_KEY, self._total)
        iterations = ", ".join(str(step.iteration) for step, _ in found[-_SHOWN:])
        text = (
            f"losses or gradients were not finite and their steps left out, {self._total} in all, lately of iterations "
            f"{iterations}, whose batches hold {_listed(self._files(runner, found))}"
        )
        if self._total > self.max_skipped:
            raise UserError(
                f"{text}; the run ends, as default_hooks.finite.max_skipped is {self.max_skipped}: look at these files "
                "or lower the learning rate, and resume from the last checkpoint, which is intact"
            )
        runner.logger.warning(text)

    @staticmethod
    def _files(runner: Any, found: list[tuple[_Step, bool]]) -> list[str]:
        """Return the files of the batches, newest step first: of the processes whose loss it was, if it was a loss."""
        names = _names(runner.train_dataloader.dataset)
        own = [(lost, [names(source) for batch in step.batches for source in batch]) for step, lost in found]
        files: list[str] = []
        for step in reversed(list(zip(*all_gather_object(own), strict=True))):
            guilty = [part for lost, part in step if lost] or [part for _, part in step]
            files += [name for part in guilty for name in part]
        return list(dict.fromkeys(files))


def _sources(batch: Any) -> Any:
    """Return what tells where a batch is from, without its pictures: file names, or a tensor of indices."""
    if not isinstance(batch, Mapping):
        return []
    if isinstance(samples := batch.get("data_samples"), (list, tuple)):
        return [getattr(sample, "img_path", None) or repr(type(sample).__name__) for sample in samples]
    index = batch.get("index")
    return index if isinstance(index, Tensor) else []


def _names(dataset: Any) -> Any:
    """Return a function from an index, or a file name, to a file name."""
    archive = getattr(dataset, "archive", None)

    def name_of(source: Any) -> str:
        if not isinstance(source, Tensor):
            return str(source)
        return f"{archive.path}/{archive.names[int(source)]}" if archive is not None else f"sample {int(source)}"

    return name_of


def _listed(files: list[str]) -> str:
    if not files:
        return "samples that do not tell their files"
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    return ", ".join(files[:_SHOWN]) + more
