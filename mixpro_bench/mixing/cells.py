"""Images put together out of the cells of other images, in one pass and without a mask of pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def take_cells(
    images: Tensor, sample: Tensor, cell: int, row: Tensor | None = None, column: Tensor | None = None
) -> Tensor:
    """Build each image out of square cells: cell (i, j) of result b comes from image ``sample[b, i, j]``.

    The images are read as short runs of pixels that no cell border cuts, and gathered by run: one read and one write
    of the batch, on any device and for any image size.

    Args:
        images: Shape (B, C, H, W).
        sample: Row in the batch where each cell comes from, int64, shape (B, rows, columns).
        cell: Pixels per cell side; the last row and column of cells may reach beyond the image.
        row: Row of cells where each cell comes from, shape (B, rows, columns); by default its own. Cells that move
            must be whole.
        column: Column of cells where each cell comes from, likewise.

    Returns:
        New contiguous tensor, shape (B, C, H, W).
    """
    _, c, h, w = images.shape
    rows, columns = sample.shape[1:]
    run = math.gcd(cell, w)
    runs, per_cell = w // run, cell // run
    grid = dict(device=images.device)
    if row is None:
        row = torch.arange(rows, **grid)[:, None]
    if column is None:
        column = torch.arange(columns, **grid)
    start = sample * (c * h * runs) + row * (cell * runs) + column * per_cell
    y, x = torch.arange(h, **grid), torch.arange(runs, **grid)
    start = start.index_select(1, y // cell).index_select(2, x // per_cell)
    within = (torch.arange(c, **grid)[:, None] * h + y % cell)[..., None] * runs + x % per_cell
    index = (start[:, None] + within).flatten()
    return images.reshape(-1, run).index_select(0, index).view(-1, c, h, w)


def take_images(images: Tensor, sample: Tensor) -> Tensor:
    """Return ``images[sample]``.

    On the CPU torch copies whole images one after the other, with a barrier of all threads after each; by rows of
    pixels there is one.

    Args:
        images: Shape (B, C, H, W).
        sample: int64, shape (N,).

    Returns:
        New contiguous tensor, shape (N, C, H, W).
    """
    h, w = images.shape[-2:]
    return take_cells(images, sample[:, None, None], w * -(-h // w))


def paste_cells(images: Tensor, partner: Tensor, kept: Tensor, cell: int) -> Tensor:
    """Replace the cells that do not keep A by the partner's, at their place.

    Args:
        images: Shape (B, 3, H, W).
        partner: Row of the partner, int64, shape (B,).
        kept: True where A stays, shape (B, rows, columns).
        cell: Pixels per cell side; the last row and column of cells may reach beyond the image.

    Returns:
        New tensor, shape (B, 3, H, W).
    """
    own = torch.arange(len(images), device=images.device)
    return take_cells(images, torch.where(kept, own[:, None, None], partner[:, None, None]), cell)
