"""Where things are in a classifier of somebody else's: the paths its user names, and the usual ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

AUTO = "auto"
IMAGES = ("inputs", "img", "imgs", "image", "images", "x")
LABELS = (
    "data_samples.gt_label",
    "data_samples.gt_label.label",
    "data_samples.label",
    *("gt_label", "gt_labels", "label", "labels", "target", "targets"),
)
LOGITS = ("logits", "cls_score", "scores", "pred")


@dataclass(frozen=True)
class Where:
    """Where things are in a classifier; ``"auto"`` looks at the usual places.

    Attributes:
        images: Name of the argument of ``forward`` that holds the images.
        labels: Path to the class indices in the arguments of ``forward``: names joined by dots, attributes or keys;
            a list is walked through, such as ``data_samples.gt_label``.
        logits: Key or position of the logits in what ``forward(mode='tensor')`` returns.
        attention: Dotted name of the attention layer that importance is read from.
        patch_size: Pixels per token side.
        importance: ``"cls"`` for the class token's row of the attention matrix, ``"mean_attn"`` for the mean row.
        num_classes: Width of the logits.
    """

    images: str = AUTO
    labels: str = AUTO
    logits: str | int = AUTO
    attention: str = AUTO
    patch_size: int | str = AUTO
    importance: str = AUTO
    num_classes: int | str = AUTO


def walk(value: Any, path: list[str]) -> Any:
    """Follow a path of keys and attributes; a list is walked through. None where it leads nowhere."""
    if not path:
        return value
    if isinstance(value, (list, tuple)):
        return [walk(item, path) for item in value]
    step = value.get(path[0]) if isinstance(value, Mapping) else getattr(value, path[0], None)
    return None if step is None else walk(step, path[1:])


def indices(value: Any, batch: int) -> Tensor | None:
    """Return ``value`` as class indices (B,), or None where it is something else."""
    if isinstance(value, (list, tuple)):
        if len(value) != batch or any(item is None for item in value):
            return None
        items = [torch.as_tensor(item) for item in value]
        if any(item.numel() != 1 for item in items):
            return None
        value = torch.stack([item.reshape(()) for item in items])
    if not isinstance(value, Tensor) or value.is_floating_point() or value.numel() != batch:
        return None
    return value.reshape(-1).long()


def describe(out: Any) -> str:
    """Say in words what a model returned."""
    if isinstance(out, Tensor):
        return f"a tensor of shape {tuple(out.shape)}"
    if isinstance(out, Mapping):
        return f"a dict of {', '.join(map(str, out))}"
    return f"a {type(out).__name__}" + (f" of {len(out)}" if isinstance(out, (list, tuple)) else "")
