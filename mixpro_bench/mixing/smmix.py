"""SMMix's image half: the window that matters most in B replaces the window that matters least in A.

Source: SMMix (ICCV 2023, arXiv 2212.12977); ChenMnZ/SMMix, smmix.py:58-130.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mixpro_bench.backbones.contract import ImportanceKind, Need, Output
from mixpro_bench.errors import UserError
from mixpro_bench.mixing.batch import MixedBatch, Mixer, group_size, pair_aux, partners, to_device
from mixpro_bench.mixing.cells import take_cells
from mixpro_bench.mixing.mixup import runs
from mixpro_bench.mixing.region import BoxRegion
from mixpro_bench.registry import BATCH_AUGMENTS


@dataclass(frozen=True)
class SMMixDraws:
    """What SMMix draws for B samples: the window's side in tokens and the partner, both shape (B,)."""

    side: np.ndarray
    partner: np.ndarray


def window_sums(importance: Tensor, side: int) -> Tensor:
    """Return the importance inside every square window.

    Args:
        importance: Shape (B, h, w).
        side: Tokens per window side.

    Returns:
        float32, shape (B, h - side + 1, w - side + 1); the place of a window is its top left corner.
    """
    return F.avg_pool2d(importance.float()[:, None], side, stride=1, divisor_override=1)[:, 0]


def extreme_windows(importance: Tensor, side: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return the windows of least and of most importance (smmix.py:78-81).

    Args:
        importance: Shape (B, h, w).
        side: Tokens per window side, on the host, shape (B,); equal within a mixing group.

    Returns:
        Row and column of the top left corner, int64, of the least (B, 2) and of the most important window (B, 2).
    """
    least: list[Tensor] = []
    most: list[Tensor] = []
    for first, last in runs(side[:, None]):
        sums = window_sums(importance[first:last], int(side[first]))
        columns = sums.shape[2]
        for corners, index in ((least, sums.flatten(1).argmin(dim=1)), (most, sums.flatten(1).argmax(dim=1))):
            corners.append(torch.stack((index // columns, index % columns), dim=1))
    return torch.cat(least), torch.cat(most)


def paste_windows(images: Tensor, partner: Tensor, cell: int, side: Tensor, target: Tensor, source: Tensor) -> Tensor:
    """Put a window of the partner's tokens over a window of each image.

    Args:
        images: Shape (B, 3, H, W).
        partner: Row of the partner, shape (B,).
        cell: Pixels per token side; divides H and W.
        side: Tokens per window side, shape (B,).
        target: Top left token of the window that is overwritten, shape (B, 2).
        source: Top left token of the partner's window, shape (B, 2).

    Returns:
        New tensor, shape (B, 3, H, W).
    """
    b, _, h, w = images.shape
    row = torch.arange(h // cell, device=images.device)[None, :, None]
    column = torch.arange(w // cell, device=images.device)[None, None]
    down, across = row - target[:, 0, None, None], column - target[:, 1, None, None]
    limit = side[:, None, None]
    inside = (down >= 0) & (down < limit) & (across >= 0) & (across < limit)
    own = torch.arange(b, device=images.device)[:, None, None]
    return take_cells(
        images,
        torch.where(inside, partner[:, None, None], own),
        cell,
        torch.where(inside, down + source[:, 0, None, None], row),
        torch.where(inside, across + source[:, 1, None, None], column),
    )


@BATCH_AUGMENTS.register_module()
class SMMix(Mixer):
    """SMMix's max-min attention region. Content moves; windows differ per sample, their side per mixing group.

    Args:
        low: Smallest side of the window, as a share of the token grid's.
        high: Largest side, likewise.
        importance: Kind of importance read from the unmixed images. Released: attention by all patch tokens, averaged
            (deit.py:290).
        unmixed_fp32: Run the pass over the unmixed images without autocast, as released; otherwise it runs as the
            training step does.

    Raises:
        UserError: If the range is empty.
    """

    moves = True
    source = "SMMix, arXiv 2212.12977; ChenMnZ/SMMix smmix.py:58-130"
    exact = "unmixed_fp32=True"

    def __init__(
        self,
        low: float = 0.25,
        high: float = 0.75,
        importance: ImportanceKind | Literal["auto"] = "mean_attn",
        unmixed_fp32: bool = False,
    ) -> None:
        if not 0 < low <= high < 1:
            raise UserError(f"SMMix low={low}, high={high}: the window's side needs 0 < low <= high < 1")
        self.low, self.high = low, high
        self.unmixed_fp32 = unmixed_fp32
        self.needs_unmixed = Need(importance=importance)

    def sides(self, grid: int) -> tuple[int, int]:
        """Return the smallest and the largest side of the window on a grid of ``grid`` tokens a side.

        Raises:
            UserError: If the grid is too small for a window inside it.
        """
        if grid < 2:
            raise UserError(f"SMMix needs a token grid of at least 2 x 2, not {grid} a side: use larger images")
        low = max(1, int(grid * self.low))
        return low, max(low, int(grid * self.high))

    def setup(self, image_size: tuple[int, int] | None, patch_size: int) -> None:
        """Refuse an image that tokens do not fill; see `Mixer.setup`."""
        if image_size is not None:
            if any(side % patch_size for side in image_size):
                raise UserError(f"SMMix: the model patch {patch_size} does not divide the image of {image_size} pixels")
            self.sides(min(image_size) // patch_size)

    def draw(self, generators: Sequence[np.random.Generator], batch: int, grid: int) -> SMMixDraws:
        """Draw the window's side per group, and partners."""
        size = group_size(batch, len(generators))
        partner = partners(generators, batch, self.pairs)
        low, high = self.sides(grid)
        return SMMixDraws(np.repeat([int(g.integers(low, high + 1)) for g in generators], size), partner)

    def replay(
        self, images: Tensor, labels: Tensor, importance: Tensor, draws: SMMixDraws, aux: Mapping | None = None
    ) -> MixedBatch:
        """Mix a batch with given draws and given importance of the unmixed images, shape (B, h, w)."""
        height, width = images.shape[-2:]
        h, w = importance.shape[1:]
        cell = height // h
        if (h * cell, w * cell) != (height, width):
            raise UserError(f"SMMix: the image of {height} x {width} pixels is not filled by {h} x {w} square tokens")
        partner = to_device(draws.partner.astype(np.int64), images.device)
        side = to_device(draws.side.astype(np.int64), images.device)
        target, most = extreme_windows(importance, draws.side)
        (top, left), size = target.unbind(1), side * cell
        box = torch.stack((top * cell, top * cell + size, left * cell, left * cell + size), dim=1)
        return MixedBatch(
            inputs=paste_windows(images, partner, cell, side, target, most[partner]),
            labels_a=labels,
            labels_b=labels[partner],
            lam_area=to_device((1 - draws.side.astype(np.float64) ** 2 / (h * w)).astype(np.float32), images.device),
            partner=partner,
            region=BoxRegion(box, (height, width)),
            method=self.name,
            aux=pair_aux(aux, partner),
        )

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        generators: Sequence[np.random.Generator],
        unmixed: Output | None = None,
        aux: Mapping[str, Tensor] | None = None,
    ) -> MixedBatch:
        """Mix a batch; see `Mixer`."""
        if unmixed is None or unmixed.importance is None:
            raise UserError("SMMix chooses windows by attention: it needs the importance of the unmixed images")
        draws = self.draw(generators, len(images), min(unmixed.importance.shape[1:]))
        return self.replay(images, labels, unmixed.importance, draws, aux)
