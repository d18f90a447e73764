"""Averaged weights that do not depend on how a batch is cut.

Reason: mmengine's EMAHook averages after every forward and backward pass, so accumulated gradients change the average.
Can go when mmengine averages after optimizer steps.
"""

from __future__ import annotations

from typing import Any

from mmengine.hooks import EMAHook as EngineEMAHook

from mixpro_bench.registry import HOOKS


@HOOKS.register_module()
class EMAHook(EngineEMAHook):
    """mmengine's hook; with accumulated gradients the average moves when the weights do.

    Args:
        momentum: Weight of the new weights in the average.
        interval: Optimizer steps between two updates of the average.
        update_buffers: Average the buffers too.
        ema_type: Registered name of the average.
        begin_iter: First iteration of the average; the weights are copied until then.
        begin_epoch: The same in epochs; one of both at most.
        strict_load: Refuse a checkpoint whose average does not fit.
        gamma: Argument of ``MomentumAnnealingEMA``; other averages have none.
    """

    def __init__(
        self,
        momentum: float = 0.0002,
        interval: int = 1,
        update_buffers: bool = False,
        ema_type: str = "ExponentialMovingAverage",
        begin_iter: int = 0,
        begin_epoch: int = 0,
        strict_load: bool = False,
        gamma: int | None = None,
    ) -> None:
        annealing = {} if gamma is None else {"gamma": gamma}
        super().__init__(
            ema_type=ema_type,
            strict_load=strict_load,
            begin_iter=begin_iter,
            begin_epoch=begin_epoch,
            momentum=momentum,
            interval=interval,
            update_buffers=update_buffers,
            **annealing,
        )

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Move the average, if this pass ended with a step of the optimizer."""
        if runner.optim_wrapper.should_update():
            super().after_train_iter(runner, batch_idx, data_batch, outputs)
