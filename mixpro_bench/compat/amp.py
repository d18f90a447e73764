"""Optimizer wrappers: autocast on any device, a gradient norm that is not waited for, no step that is not finite.

Reason: mmengine's AmpOptimWrapper refuses to exist without a GPU and scales the loss whatever the type is; both of its
wrappers read the gradient norm back from the device in every step. For the steps see `finite_step`.
Can go when mmengine's wrapper takes a device type and logs tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper as EngineOptimWrapper
from torch import Tensor, nn

from mixpro_bench.compat.finite_step import gradient_norm, marked, step_unless
from mixpro_bench.errors import UserError
from mixpro_bench.registry import OPTIM_WRAPPERS

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@OPTIM_WRAPPERS.register_module()
class OptimWrapper(EngineOptimWrapper):
    """mmengine's wrapper; what it finds out stays on the device, for hooks to read at the log interval.

    A step whose loss or gradients are not finite is left out, in all processes at once.

    Args:
        optimizer: The optimizer.
        **kwargs: As mmengine's.

    Attributes:
        grad_norm: Norm of the gradients before clipping, if they are clipped by norm.
        lost: Whether a loss since the last step was not finite, in this process.
        skipped: Whether the last step was left out; `FiniteHook` takes note and sets both back to None.
    """

    grad_norm: Tensor | None = None
    lost: Tensor | None = None
    skipped: Tensor | None = None

    def update_params(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Propagate the loss, and do a step where one is due."""
        lost = ~loss.detach().isfinite()
        self.lost = lost if self.skipped is not None or self.lost is None else self.lost | lost
        self.skipped = None
        super().update_params(marked(loss), *args, **kwargs)

    def step(self, **kwargs: Any) -> None:
        """Clip the gradients, and update the parameters unless a gradient is not finite."""
        if self.clip_grad_kwargs and self.clip_func is not torch.nn.utils.clip_grad_value_:
            self._clip_grad()
            norm = self.grad_norm
        else:
            norm = gradient_norm(self._parameters())
            if self.clip_grad_kwargs:  # makes a number of infinity
                self._clip_grad()
        if norm is None:
            self.optimizer.step(**kwargs)
        else:
            self.skipped = ~norm.isfinite()
            step_unless(self.skipped, self.optimizer, **kwargs)

    def _clip_grad(self) -> None:
        self.grad_norm = None
        params = [p for p in self._parameters() if p.grad is not None]
        if params:
            norm = self.clip_func(params, **self.clip_grad_kwargs)
            # Clipping by value has no norm to tell.
            self.grad_norm = None if norm is None else norm.detach()

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(OptimWrapper):
    """Trains under autocast: bfloat16 on any device, float16 (with loss scaling) on GPUs.

    Args:
        optimizer: The optimizer.
        dtype: ``bfloat16`` or ``float16``.
        loss_scale: For float16: ``dynamic``, a fixed scale, or arguments of ``torch.amp.GradScaler``. Unused otherwise.
        **kwargs: As mmengine's OptimWrapper.

    Raises:
        UserError: An unknown dtype, float16 without a GPU, or a loss scale of another kind.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        dtype: str = "bfloat16",
        loss_scale: str | float | dict[str, Any] = "dynamic",
        **kwargs: Any,
    ) -> None:
        super().__init__(optimizer=optimizer, **kwargs)
        self.device_type = torch.device(get_device()).type
        if dtype not in _DTYPES:
            raise UserError(f"optim_wrapper.dtype is {dtype!r}: use 'bfloat16' or 'float16'")
        if dtype == "float16" and self.device_type == "cpu":
            raise UserError("optim_wrapper.dtype is 'float16', which the CPU cannot train in: use 'bfloat16'")
        self.dtype = _DTYPES[dtype]
        self._fixed_scale: float | None = None
        if loss_scale == "dynamic":
            options: dict[str, Any] = {}
        elif isinstance(loss_scale, dict):
            options = dict(loss_scale)
        elif isinstance(loss_scale, (int, float)):
            self._fixed_scale = float(loss_scale)
            options = {"init_scale": self._fixed_scale}
        else:
            raise UserError(f"optim_wrapper.loss_scale is {loss_scale!r}: use 'dynamic', a number, or a dict")
        self.loss_scaler = torch.amp.GradScaler(self.device_type, enabled=dtype == "float16", **options)

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Propagate the (scaled) loss."""
        self.loss_scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs: Any) -> None:
        """As `OptimWrapper`; in float16 the scaler leaves steps out, which is its way of finding the scale."""
        if not self.loss_scaler.is_enabled():
            super().step(**kwargs)
            return
        if self.clip_grad_kwargs:
            self.loss_scaler.unscale_(self.optimizer)
            self._clip_grad()
        # An overflow of scaled gradients is no fault; a loss that is not finite is.
        self.skipped = self.lost
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update(self._fixed_scale)

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer's state, with that of the loss scaler under ``loss_scaler``."""
        return {**super().state_dict(), "loss_scaler": self.loss_scaler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` returned; a state without loss scaler is taken too."""
        state = dict(state_dict)
        scaler = state.pop("loss_scaler", None)
        if scaler:
            self.loss_scaler.load_state_dict(scaler)
        super().load_state_dict(state)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Open autocast around preprocessing and forward."""
        with super().optim_context(model), torch.autocast(self.device_type, dtype=self.dtype):
            yield
