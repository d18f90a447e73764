"""The learning-rate schedule that the released codes run."""

from __future__ import annotations

import math
from typing import Any

from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler

from mixpro_bench.errors import UserError
from mixpro_bench.registry import PARAM_SCHEDULERS


def cosine_under_warmup(
    step: float, period: float, warmup: float, start_factor: float, end_factor: float, late: float = 0
) -> float:
    """Return the factor of the learning rate at a step.

    The cosine runs from 1 at step 0 to ``end_factor`` at ``period`` and stays there; until ``warmup`` a line from
    ``start_factor`` towards 1 takes its place (timm/scheduler/cosine_lr.py with ``warmup_prefix=False``).

    Args:
        step: Epochs or iterations done.
        period: Length of the cosine.
        warmup: Length of the warm-up.
        start_factor: Factor at step 0.
        end_factor: Factor from ``period`` on.
        late: How far behind the schedule is; before that, it waits at its start.

    Examples:
        >>> [round(cosine_under_warmup(step, 10, 2, 0.2, 0.0), 3) for step in (0, 1, 2, 5, 10, 12)]
        [0.2, 0.6, 0.905, 0.5, 0.0, 0.0]
    """
    step = max(step - late, 0)
    if step < warmup:
        return start_factor + (1 - start_factor) * step / warmup
    if step >= period:
        return end_factor
    return end_factor + (1 - end_factor) * (1 + math.cos(math.pi * step / period)) / 2


@PARAM_SCHEDULERS.register_module()
class CosineUnderWarmupLR(LRSchedulerMixin, _ParamScheduler):
    """A cosine that begins at step 0 with a warm-up laid over it, as timm's scheduler does.

    mmengine's own schedulers begin the cosine where the warm-up ends, which is up to 6 % of the peak rate higher for 20
    epochs of 300. Alone it sets the rates; it does not chain with others.

    Args:
        optimizer: mmengine's.
        period: Epochs (or iterations) until the rate has come down; it stays there (timm's cool-down).
        warmup: Epochs of warm-up.
        start_factor: First rate as a share of the optimizer's.
        end_factor: Last rate as a share of the optimizer's.
        late: One epoch late, as in codes that end epoch e by ``step(e)`` (DeiT's main.py): the first two epochs both
            run at the first rate.
        **kwargs: mmengine's, such as ``by_epoch``.

    Raises:
        UserError: The warm-up is not shorter than the period.
    """

    def __init__(
        self,
        optimizer: Any,
        period: float,
        warmup: float,
        start_factor: float = 1e-3,
        end_factor: float = 1e-2,
        late: float = 0,
        **kwargs: Any,
    ) -> None:
        if not 0 <= warmup < period:
            raise UserError(f"param_scheduler: warmup={warmup} must be from 0 to below period={period}")
        self.period, self.warmup, self.late = period, warmup, float(late)
        self.start_factor, self.end_factor = start_factor, end_factor
        super().__init__(optimizer, **kwargs)

    @classmethod
    def build_iter_from_epoch(
        cls, optimizer: Any, *, epoch_length: int, period: float, warmup: float, late: float = 0, **kwargs: Any
    ) -> CosineUnderWarmupLR:
        """Build one that counts iterations from settings in epochs; mmengine's ``convert_to_iter_based``."""
        lengths = [value * epoch_length for value in (period, warmup, late)]
        kwargs["by_epoch"] = False
        return cls(optimizer, lengths[0], lengths[1], late=lengths[2], **kwargs)

    def _get_value(self) -> list[float]:
        factor = cosine_under_warmup(
            self.last_step, self.period, self.warmup, self.start_factor, self.end_factor, self.late
        )
        return [base * factor for base in self.base_values]
