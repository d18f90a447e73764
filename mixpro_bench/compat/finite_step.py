"""A step of the optimizer that is left out when its gradients are not finite, without asking the device.

Reason: one picture that cannot be computed with, or one overflow, makes every weight NaN, and a run of days is lost.
mmengine looks at the loss long after (CheckInvalidLossHook), and then can only stop.
Can go when mmengine's wrappers leave such steps out.
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

_WITH_FUSED = ("Adam", "AdamW", "SGD")


def marked(loss: Tensor) -> Tensor:
    """Return the same loss; one that is not finite gets gradients that are not finite either.

    Averaged over processes, these tell all of them: no further communication is needed to agree on what to leave out.

    Args:
        loss: A scalar.
    """
    # 1 or NaN: multiplying by 1 changes no bit.
    return loss * (loss.detach() * 0 + 1)


def gradient_norm(parameters: list[Tensor]) -> Tensor | None:
    """Return the norm of all gradients, on the device; None if there are none."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return torch.nn.utils.get_total_norm(gradients) if gradients else None


def step_unless(skip: Tensor, optimizer: torch.optim.Optimizer, **kwargs: Any) -> None:
    """Do a step of the optimizer, unless ``skip``; a GPU is not waited for.

    Fused optimizers leave the step out on the device. Others get gradients of zero on a GPU: their momentum and weight
    decay go on.

    Args:
        skip: Boolean scalar on the device of the gradients.
        optimizer: The optimizer.
        **kwargs: Of its ``step``.
    """
    if all(group.get("fused") for group in optimizer.param_groups):
        # Where torch's GradScaler puts it, too.
        optimizer.grad_scale, optimizer.found_inf = None, skip.float()
        try:
            optimizer.step(**kwargs)
        finally:
            del optimizer.grad_scale, optimizer.found_inf
    elif skip.device.type == "cpu":
        if not skip:
            optimizer.step(**kwargs)
    else:
        zero_where(skip, [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None])
        optimizer.step(**kwargs)


def zero_where(skip: Tensor, gradients: list[Tensor]) -> None:
    """Set gradients to zero where ``skip``, in place; NaN times zero would still be NaN."""
    for gradient in gradients:
        gradient.masked_fill_(skip, 0.0)


def with_fused(optimizer: dict[str, Any], model: nn.Module) -> dict[str, Any]:
    """Return the config of an optimizer; on a GPU the fused one is taken where torch has it and nothing else is said.

    Args:
        optimizer: mmengine's config.
        model: The model, on its device.
    """
    name = str(optimizer.get("type")).rsplit(".", 1)[-1]
    if name not in _WITH_FUSED or {"fused", "foreach", "capturable", "differentiable"} & optimizer.keys():
        return optimizer
    module = model.module if is_model_wrapper(model) else model
    on_gpu = all(p.device.type == "cuda" and p.is_floating_point() for p in module.parameters())
    return {**optimizer, "fused": True} if on_gpu else optimizer
