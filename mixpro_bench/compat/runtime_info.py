"""What the message hub is told in each step, without waiting for the device.

Reason: mmengine's RuntimeInfoHook reads every logged scalar back in every iteration, and each reading waits for the
GPU. Here they stay on the device and are read together when somebody looks: at the log interval, at the end of an
epoch, before validation and before a checkpoint. The hub then holds the same histories, value by value.
Can go when mmengine's hook does this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.hooks import LoggerHook
from mmengine.hooks import RuntimeInfoHook as EngineRuntimeInfoHook

from mixpro_bench.registry import HOOKS

# Called with a scalar's name, the iterations it was told after (counted from 1), and its values there.
Reader = Callable[[str, Sequence[int], Sequence[float]], None]


@HOOKS.register_module()
class RuntimeInfoHook(EngineRuntimeInfoHook):
    """mmengine's hook; log scalars are kept on the device and read at the log interval.

    Args:
        interval: Iterations between readings; None takes that of the LoggerHook.

    Attributes:
        readers: Whoever wants to see the values when they are read; the hub does not know which iteration they are of.
    """

    def __init__(self, interval: int | None = None) -> None:
        self.interval = interval
        self.readers: list[Reader] = []
        self._pending: dict[str, list[Any]] = {}
        self._iterations: dict[str, list[int]] = {}

    def before_train(self, runner: Any) -> None:
        """Learn the log interval."""
        super().before_train(runner)
        if self.interval is None:
            self.interval = next((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), 10)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Keep this step's scalars; read them all when the logger is about to."""
        scalars = dict(outputs or {})
        norm = getattr(runner.optim_wrapper, "grad_norm", None)
        if norm is not None:
            scalars["grad_norm"] = norm
        for key, value in scalars.items():
            kept = value.detach() if isinstance(value, torch.Tensor) else value
            self._pending.setdefault(key, []).append(kept)
            self._iterations.setdefault(key, []).append(runner.iter + 1)
        last = runner.iter + 1 >= runner.max_iters
        if (
            last
            or self.every_n_inner_iters(batch_idx, self.interval)
            or self.end_of_epoch(runner.train_dataloader, batch_idx)
        ):
            self.flush(runner)

    def flush(self, runner: Any) -> None:
        """Move everything kept so far into the message hub: one reading from the device."""
        pending, self._pending = self._pending, {}
        iterations, self._iterations = self._iterations, {}
        on_device = {
            key: torch.stack([torch.as_tensor(value).reshape(()) for value in values]).double()
            for key, values in pending.items()
            if all(isinstance(value, torch.Tensor) for value in values)
        }
        if on_device:
            numbers = torch.cat(list(on_device.values())).tolist()
            for key, stacked in on_device.items():
                pending[key], numbers = numbers[: len(stacked)], numbers[len(stacked) :]
        for key, values in pending.items():
            for value in values:
                runner.message_hub.update_scalar(f"train/{key}", value)
            for read in self.readers:
                read(key, iterations[key], values)

    def before_val(self, runner: Any) -> None:
        """Read before validation: hooks may look at the training's scalars."""
        self.flush(runner)
        super().before_val(runner)

    def after_train(self, runner: Any) -> None:
        """Read what is left when training was stopped early."""
        self.flush(runner)
        super().after_train(runner)
