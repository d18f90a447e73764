"""How large a model is: its parameters, and the multiply-accumulates of its backbone."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from torch import nn

from mixpro_bench.protocols import value_at


def model_size(runner: Any) -> dict[str, Any] | None:
    """Return the size of the model; what cannot be counted is None, and the log says why."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    size, macs = image_size_of(runner.cfg.to_dict()), None
    backbone = getattr(model, "backbone", None)
    if size is not None and backbone is not None:
        try:
            macs = macs_of(backbone, size)
        except Exception as error:  # a foreign backbone may do anything; the run is finished and must not be lost
            runner.logger.warning(f"the backbone's multiply-accumulates were not counted: {error}")
    return {"parameters": parameters_of(model), "macs": macs, "image_size": size}


def parameters_of(model: nn.Module) -> int:
    """Count the parameters of a model, without those of a mixing policy: its heads and teachers only serve training."""
    policy = getattr(model, "policy", None)
    aside = {id(p) for p in policy.parameters()} if isinstance(policy, nn.Module) else set()
    return sum(p.numel() for p in model.parameters() if id(p) not in aside)


def macs_of(backbone: nn.Module, image_size: tuple[int, int]) -> int:
    """Count the multiply-accumulates of one forward pass on one image.

    The pass is that of a copy without memory (torch's meta device): nothing is computed, and the backbone is left as it
    is. There attention is counted product by product, also where a fused kernel would not be. What counts are products
    of matrices and convolutions, as ``torch.utils.flop_counter`` counts them, two operations for each.

    Args:
        backbone: Any module that takes images (1, 3, H, W).
        image_size: Height and width in pixels.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad():
        # deepcopy looks here before it copies, so the weights never are.
        known: dict[int, Any] = {
            id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=False) for p in backbone.parameters()
        }
        known |= {id(b): torch.empty_like(b, device="meta") for b in backbone.buffers()}
        inert = copy.deepcopy(backbone, known).eval()
        with FlopCounterMode(display=False) as counter:
            inert(torch.empty(1, 3, *image_size, device="meta"))
    return counter.get_total_flops() // 2


def image_size_of(cfg: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return height and width of the images that a resolved config's model sees, None where the config does not say.

    Classification: what validation crops to. Segmentation: what training crops to. Otherwise the largest landscape
    picture that validation resizes to, padded as the model pads.
    """
    preprocessor = value_at(cfg, "model.data_preprocessor") or {}
    told = value_at(cfg, "val_dataloader.dataset.transform.input_size") or preprocessor.get("size")
    if size := _pair(told):
        return size
    for step in value_at(cfg, "val_dataloader.dataset.pipeline") or ():
        if str(step.get("type", "")).rsplit(".", 1)[-1] == "Resize" and (scale := _pair(step.get("scale"))):
            whole = preprocessor.get("pad_size_divisor") or preprocessor.get("size_divisor") or 1
            short, long = (-(-side // whole) * whole for side in sorted(scale))
            return short, long
    return None


def _pair(value: Any) -> tuple[int, int] | None:
    if isinstance(value, int):
        return value, value
    if isinstance(value, (list, tuple)) and len(value) in (2, 3) and all(isinstance(side, int) for side in value):
        return value[-2], value[-1]
    return None
