"""Where image A is in a mixed image, exact at pixel level, as a share of any token grid.

All regions are products of a row part and a column part, so the share of A in every cell of any grid is
``rows @ cells @ columns``: exact for grids that do not divide one another, without touching a pixel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

ShareMode = Literal["area", "nearest"]


@lru_cache(maxsize=64)
def overlap(cells: int, cell: int, size: int, tokens: int, mode: ShareMode, device: torch.device) -> Tensor:
    """Return how much of each token of an axis lies in each cell of that axis.

    Args:
        cells: Number of cells; the last one may reach beyond the image.
        cell: Pixels per cell.
        size: Pixels of the axis.
        tokens: Number of tokens the axis is divided into.
        mode: ``"area"``: fractions of the token. ``"nearest"``: all of it in the cell of the token's first pixel.
        device: Where the result is kept.

    Returns:
        float32, shape (tokens, cells); rows sum to one.
    """
    edges = torch.arange(tokens + 1, dtype=torch.float64) * (size / tokens)
    low, high = edges[:-1, None], edges[1:, None]
    start = torch.arange(cells, dtype=torch.float64)[None] * cell
    if mode == "nearest":
        first = low.floor()
        part = ((first >= start) & (first < start + cell)).double()
    else:
        stop = (start + cell).clamp(max=size)
        part = (torch.minimum(high, stop) - torch.maximum(low, start)).clamp(min=0) / (high - low)
    return part.float().to(device)


class Region(ABC):
    """Where A is in each of B mixed images of ``size`` pixels (height, width)."""

    size: tuple[int, int]

    @abstractmethod
    def share(self, h: int, w: int, *, mode: ShareMode = "area") -> Tensor:
        """Return the share of A in each cell of a token grid.

        Args:
            h: Rows of the grid.
            w: Columns of the grid.
            mode: ``"area"`` is exact. ``"nearest"`` lets the first pixel of a cell decide, as released TransMix does.

        Returns:
            float32 in [0, 1], shape (B, h, w).
        """

    def area(self) -> Tensor:
        """Return the share of A's pixels, shape (B,)."""
        return self.share(1, 1)[:, 0, 0]


@dataclass(frozen=True)
class GridRegion(Region):
    """A grid of square cells, each all A or all B; the last row and column may be cut by the image border.

    Attributes:
        cells: True where A is, shape (B, rows, columns).
        cell: Pixels per cell side.
        size: Height and width of the image in pixels.
    """

    cells: Tensor
    cell: int
    size: tuple[int, int]

    def share(self, h: int, w: int, *, mode: ShareMode = "area") -> Tensor:
        """Return the share of A in each cell of an ``h`` x ``w`` grid; see `Region.share`."""
        rows, columns = self.cells.shape[1:]
        down = overlap(rows, self.cell, self.size[0], h, mode, self.cells.device)
        across = overlap(columns, self.cell, self.size[1], w, mode, self.cells.device)
        with torch.autocast(self.cells.device.type, enabled=False):
            return down @ self.cells.float() @ across.T


@dataclass(frozen=True)
class BoxRegion(Region):
    """A box of B in an image of A.

    Attributes:
        box: Top, bottom, left, right in pixels, half open, shape (B, 4).
        size: Height and width of the image in pixels.
    """

    box: Tensor
    size: tuple[int, int]

    def _inside(self, axis: int, tokens: int, mode: ShareMode) -> Tensor:
        size, box = self.size[axis], self.box.double()
        low_edge, high_edge = box[:, 2 * axis, None], box[:, 2 * axis + 1, None]
        edges = torch.arange(tokens + 1, dtype=torch.float64, device=box.device) * (size / tokens)
        low, high = edges[None, :-1], edges[None, 1:]
        if mode == "nearest":
            return ((low.floor() >= low_edge) & (low.floor() < high_edge)).float()
        return ((torch.minimum(high, high_edge) - torch.maximum(low, low_edge)).clamp(min=0) / (high - low)).float()

    def share(self, h: int, w: int, *, mode: ShareMode = "area") -> Tensor:
        """Return the share of A in each cell of an ``h`` x ``w`` grid; see `Region.share`."""
        return 1 - self._inside(0, h, mode)[:, :, None] * self._inside(1, w, mode)[:, None, :]


@dataclass(frozen=True)
class ConstantRegion(Region):
    """A is everywhere with the same weight: Mixup, and images that are not mixed.

    Attributes:
        lam: Weight of A, shape (B,).
        size: Height and width of the image in pixels.
    """

    lam: Tensor
    size: tuple[int, int]

    def share(self, h: int, w: int, *, mode: ShareMode = "area") -> Tensor:
        """Return the share of A in each cell of an ``h`` x ``w`` grid; see `Region.share`."""
        return self.lam.float()[:, None, None].expand(-1, h, w)
