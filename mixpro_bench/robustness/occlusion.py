"""Occlusion: cells of the image are taken away, at random or by how salient they are.

After Naseer et al., Intriguing Properties of Vision Transformers (arXiv:2105.10497, section 3.1). Which cells go is a
function of the seed and of the picture, or of a reference model's importance: the same for every model.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mixpro_bench.backbones.contract import Backbone, Need
from mixpro_bench.errors import UserError
from mixpro_bench.rng import rng
from mixpro_bench.robustness.part import Curve, Finding, Part, Steps
from mixpro_bench.robustness.subject import Advance, Subject, accuracy, grid_for

PERCENT = tuple(range(0, 100, 10))
OWN = "own"


def random_orders(seed: int, draw: int, indices: Tensor, cells: int) -> Tensor:
    """Return in which order the cells of each picture go, (N, cells): a function of seed, draw and picture.

    Args:
        seed: Seed.
        draw: Number of the draw.
        indices: Indices of the pictures, (N,).
        cells: Cells of the grid.
    """
    orders = [rng(seed, "occlusion", draw, index).permutation(cells) for index in indices.tolist()]
    return torch.from_numpy(np.stack(orders)) if orders else torch.empty(0, cells, dtype=torch.long)


def occlude(images: Tensor, order: Tensor, percent: float, grid: int) -> Tensor:
    """Set the first cells of an order to 0, which is the mean colour of normalised images.

    Args:
        images: Normalised, shape (B, 3, H, W); not changed in place.
        order: Cells in raster order, the first to go first, shape (B, grid * grid).
        percent: Share of cells to take away, rounded to whole cells.
        grid: Cells a side; divides H and W.
    """
    cells = grid * grid
    gone = round(cells * percent / 100)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(cells, device=order.device).expand_as(order))
    hidden = (rank < gone).view(-1, 1, grid, grid).to(images.device)
    h, w = images.shape[-2:]
    hidden = hidden.repeat_interleave(h // grid, dim=2).repeat_interleave(w // grid, dim=3)
    return torch.where(hidden, torch.zeros((), dtype=images.dtype, device=images.device), images)


def area_under(percent: Sequence[float], values: Sequence[float]) -> float:
    """Return the mean height of a curve, by the trapezoid rule.

    Examples:
        >>> area_under([0, 50, 100], [80.0, 40.0, 0.0])
        40.0
    """
    return float(np.trapezoid(values, percent) / (percent[-1] - percent[0]))


class Occlusion(Part):
    """Accuracy over the share of occluded cells.

    Args:
        grid: Cells a side; by default the finest of at most 14 that divides the image.
        draws: Draws of random occlusion.
        saliency: Whose importance orders the cells, most and least salient first: a checkpoint of this benchmark, the
            same for all that is compared, or ``"own"`` for the measured model's; None leaves these two curves out.
    """

    name: ClassVar[str] = "occlusion"

    def __init__(self, grid: int | None = None, draws: int = 3, saliency: str | None = None) -> None:
        if draws < 1:
            raise UserError(f"part occlusion: draws={draws} must be at least 1")
        self.grid, self.draws, self.saliency = grid, draws, saliency

    def check(self, subject: Subject) -> None:
        """Refuse a grid that does not divide the image, and a reference that is not there."""
        super().check(subject)
        h, w = subject.image_size()
        if self.grid is not None and (self.grid < 1 or h % self.grid or w % self.grid):
            raise UserError(f"part occlusion: grid={self.grid} does not divide images of {h} x {w} pixels")
        self._reference(subject)

    def run(self, subject: Subject, advance: Advance) -> Finding:
        """Measure; see `Part.run`."""
        grid = self.grid or grid_for(subject.image_size())
        ways = {
            f"random/{draw}": random_orders(subject.seed, draw, subject.indices, grid**2) for draw in range(self.draws)
        }
        reference = self._reference(subject)
        if reference is not None:
            importance = subject.collect(lambda images: importance_of(reference, images, grid)).flatten(1)
            ways["salient"] = importance.argsort(dim=1, descending=True, stable=True)
            ways["least_salient"] = importance.argsort(dim=1, stable=True)
        steps = Steps(advance, len(ways) * len(PERCENT))
        place = {index: row for row, index in enumerate(subject.indices.tolist())}
        found: dict[str, list[float]] = {}
        for way, orders in ways.items():
            for percent in PERCENT:

                def perturb(images: Tensor, labels: Tensor, numbers: Tensor, orders=orders, percent=percent) -> Tensor:
                    rows = torch.tensor([place[index] for index in numbers.tolist()])
                    return occlude(images, orders[rows].to(images.device), percent, grid)

                logits = subject.scores(perturb, advance=steps)
                found.setdefault(way, []).append(accuracy(logits, subject.labels))
        return self._finding(found, grid)

    def _finding(self, found: dict[str, list[float]], grid: int) -> Finding:
        metrics, curves = {}, {}
        draws = [values for way, values in found.items() if way.startswith("random/")]
        random = [statistics.fmean(column) for column in zip(*draws, strict=True)]
        several = len(draws) > 1
        spread = [statistics.stdev(column) for column in zip(*draws, strict=True)] if several else None
        for way, values in {"random": random, **{w: v for w, v in found.items() if "/" not in w}}.items():
            metrics[f"occlusion/{way}/auc"] = area_under(PERCENT, values)
            metrics.update({f"occlusion/{way}/{p:02d}": value for p, value in zip(PERCENT, values, strict=True)})
            sd = spread if way == "random" else None
            curves[way] = Curve(PERCENT, values, "occluded cells, %", "top-1, %", sd)
        if several:
            metrics["occlusion/random/auc_sd"] = statistics.stdev(area_under(PERCENT, values) for values in draws)
        notes: tuple[str, ...] = (f"{grid} x {grid} cells",)
        if self.saliency is None:
            notes += ("no salient occlusion: name a reference with saliency=CHECKPOINT, or saliency=own",)
        return Finding(metrics, curves, notes)

    def _reference(self, subject: Subject) -> Backbone | None:
        if self.saliency is None:
            return None
        reference = subject.backbone if self.saliency == OWN else reference_model(self.saliency, subject)
        if not reference.importance_kinds:
            raise UserError(f"part occlusion: {self.saliency} has no importance to read; name another reference")
        return reference


def reference_model(checkpoint: str, subject: Subject) -> Backbone:
    """Build the model of a checkpoint from its model card, and load it.

    Raises:
        UserError: If there is no checkpoint or no card, or they do not fit together.
    """
    from mixpro_bench.registry import MODELS
    from mixpro_bench.robustness.load import load_classifier
    from mixpro_bench.transfer.card import read_card

    card = read_card(checkpoint)
    if card is None or not card.backbone:
        raise UserError(
            f"part occlusion: the reference {checkpoint} has no model card beside it that tells its backbone: give a "
            "checkpoint of mixpro-bench pretrain, or saliency=own"
        )
    backbone = MODELS.build(dict(card.backbone))
    load_classifier(backbone, checkpoint)
    return backbone.to(subject.device).eval().requires_grad_(False)


def importance_of(backbone: Backbone, images: Tensor, grid: int) -> Tensor:
    """Return a model's importance on a grid, (B, grid, grid); class activation maps speak for the predicted class."""
    out = backbone(images, need=Need("auto"))
    if out.importance is None:
        out = out.for_labels(out.logits.argmax(dim=1))
    return F.interpolate(out.importance[:, None], (grid, grid), mode="bilinear", align_corners=False)[:, 0]
