"""Spatial structure: the cells of a grid change places, each image in its own way.

After Naseer et al., Intriguing Properties of Vision Transformers (arXiv:2105.10497, section 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mixpro_bench.errors import UserError
from mixpro_bench.rng import rng
from mixpro_bench.robustness.part import Curve, Finding, Part, Steps
from mixpro_bench.robustness.subject import Advance, Subject, accuracy

GRIDS = (2, 4, 8, 14)


def orders(seed: int, grid: int, indices: Tensor) -> Tensor:
    """Return which cell comes where in each picture, (N, grid * grid): a function of seed, grid and picture."""
    found = [rng(seed, f"shuffle {grid}", 0, index).permutation(grid * grid) for index in indices.tolist()]
    return torch.from_numpy(np.stack(found))


def shuffle(images: Tensor, order: Tensor, grid: int) -> Tensor:
    """Put cell ``order[:, i]`` of each image at place i.

    Args:
        images: Shape (B, C, H, W).
        order: Shape (B, grid * grid).
        grid: Cells a side; divides H and W.
    """
    b, c, h, w = images.shape
    cells = images.view(b, c, grid, h // grid, grid, w // grid).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    cells = cells[torch.arange(b, device=images.device)[:, None], order.to(images.device)]
    cells = cells.view(b, grid, grid, c, h // grid, w // grid).permute(0, 3, 1, 4, 2, 5)
    return cells.reshape(b, c, h, w)


class Shuffling(Part):
    """Accuracy on images whose cells are shuffled.

    Args:
        grids: Cells a side; those that do not divide the image are left out and named.
    """

    name: ClassVar[str] = "shuffle"

    def __init__(self, grids: Sequence[int] = GRIDS) -> None:
        self.grids = tuple(int(grid) for grid in grids)
        if not self.grids or min(self.grids) < 1:
            raise UserError(f"part shuffle: grids={list(self.grids)} must be whole numbers from 1 on")

    def check(self, subject: Subject) -> None:
        """Refuse grids of which none divides the image."""
        super().check(subject)
        if not self._fitting(subject):
            h, w = subject.image_size()
            raise UserError(f"part shuffle: none of grids={list(self.grids)} divides images of {h} x {w} pixels")

    def run(self, subject: Subject, advance: Advance) -> Finding:
        """Measure; see `Part.run`."""
        fitting = self._fitting(subject)
        steps = Steps(advance, len(fitting) + 1)
        values = [accuracy(subject.scores(advance=steps), subject.labels)]
        for grid in fitting:

            def perturb(images: Tensor, labels: Tensor, numbers: Tensor, grid=grid) -> Tensor:
                return shuffle(images, orders(subject.seed, grid, numbers), grid)

            values.append(accuracy(subject.scores(perturb, advance=steps), subject.labels))
        cells = (1, *fitting)
        metrics = {f"shuffle/{grid}": value for grid, value in zip(cells, values, strict=True)}
        left = [str(grid) for grid in self.grids if grid not in fitting]
        notes = (f"grids that do not divide the image: {', '.join(left)}",) if left else ()
        return Finding(metrics, {"shuffle": Curve(cells, values, "cells a side", "top-1, %")}, notes)

    def _fitting(self, subject: Subject) -> list[int]:
        h, w = subject.image_size()
        return [grid for grid in self.grids if h % grid == 0 and w % grid == 0]
