"""MaskMix: two images mixed by a grid of square cells aligned to the model's patches.

Source: MixPro (ICLR 2023, arXiv 2304.12043); fistyee/MixPro, utils.py:27-58.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from mixpro_bench.backbones.contract import Output
from mixpro_bench.errors import UserError
from mixpro_bench.mixing.batch import MixedBatch, Mixer, group_size, pair_aux, partners, to_device
from mixpro_bench.mixing.cells import paste_cells
from mixpro_bench.mixing.region import GridRegion
from mixpro_bench.registry import BATCH_AUGMENTS


@dataclass(frozen=True)
class MaskMixDraws:
    """What MaskMix draws for B samples and a grid of Q cells.

    Attributes:
        lam: The Beta draw of each sample's group, shape (B,).
        order: A random order of the cells for each sample, shape (B, Q).
        partner: Shape (B,).
    """

    lam: np.ndarray
    order: np.ndarray
    partner: np.ndarray


def grid_side(image_side: int, mask_patch: int) -> int:
    """Return the cells per side; the last one may reach beyond the image (utils.py:29).

    Examples:
        >>> grid_side(224, 32), grid_side(60, 24)
        (7, 3)
    """
    return -(-image_side // mask_patch)


def draw_maskmix(
    generators: Sequence[np.random.Generator], batch: int, cells: int, alpha: float, pairs: str = "shuffle"
) -> MaskMixDraws:
    """Draw lambda per group, cell order per sample and partners.

    Args:
        generators: One per mixing group.
        batch: Batch size.
        cells: Number of cells Q of the grid.
        alpha: Parameter of Beta(alpha, alpha).
        pairs: How partners are chosen; see `Mixer`.
    """
    size = group_size(batch, len(generators))
    partner = partners(generators, batch, pairs)
    lam = np.repeat([g.beta(alpha, alpha) for g in generators], size)
    row = np.broadcast_to(np.arange(cells), (size, cells))
    order = np.concatenate([g.permuted(row, axis=1) for g in generators])
    return MaskMixDraws(lam, order, partner)


def kept_cells(draws: MaskMixDraws, rows: int, columns: int) -> np.ndarray:
    """Return which cells keep A: the first ``ceil(Q * lam)`` of each sample's order (utils.py:38-44).

    Returns:
        bool, shape (B, rows, columns). At least one cell is True.
    """
    cells = draws.order.shape[1]
    count = np.ceil(cells * draws.lam.astype(np.float64)).astype(np.int64)
    kept = np.zeros(draws.order.shape, dtype=bool)
    np.put_along_axis(kept, draws.order, np.arange(cells)[None] < count[:, None], axis=1)
    return kept.reshape(-1, rows, columns)


@BATCH_AUGMENTS.register_module()
class MaskMix(Mixer):
    """MixPro's image half.

    Args:
        mask_patch: Pixels per cell side; a multiple of the model patch. It need not divide the image.
        alpha: Parameter of the Beta distribution of lambda; 1 is uniform.
        area: ``"pixel"``: lambda is A's share of the pixels. ``"count"``: A's share of the cells, as released
            (utils.py:38); they differ only when the mask patch does not divide the image.

    Raises:
        UserError: If an argument is out of range.
    """

    pairs = "shuffle"
    source = "MixPro, arXiv 2304.12043; fistyee/MixPro utils.py:27-58"
    exact = "area='count'; either value where the mask patch divides the image"

    def __init__(self, mask_patch: int = 32, alpha: float = 1.0, area: Literal["pixel", "count"] = "pixel") -> None:
        if mask_patch < 1:
            raise UserError(f"MaskMix mask_patch={mask_patch}: a cell has at least one pixel")
        if not alpha > 0:
            raise UserError(f"MaskMix alpha={alpha}: the Beta distribution needs a positive parameter")
        if area not in ("pixel", "count"):
            raise UserError(f"MaskMix area={area!r}: use 'pixel' or 'count'")
        self.mask_patch = mask_patch
        self.alpha = alpha
        self.area = area

    def setup(self, image_size: tuple[int, int] | None, patch_size: int) -> None:
        """Refuse a mask patch that would cut tokens in two; see `Mixer.setup`."""
        if self.mask_patch % patch_size:
            near = max(patch_size, self.mask_patch // patch_size * patch_size)
            raise UserError(
                f"MaskMix mask_patch={self.mask_patch} is no multiple of the model patch {patch_size}, so tokens would "
                f"hold both images; the nearest fitting value is {near}"
            )

    def replay(self, images: Tensor, labels: Tensor, draws: MaskMixDraws, aux: Mapping | None = None) -> MixedBatch:
        """Mix a batch with given draws."""
        h, w = images.shape[-2:]
        rows, columns = grid_side(h, self.mask_patch), grid_side(w, self.mask_patch)
        kept = to_device(kept_cells(draws, rows, columns), images.device)
        partner = to_device(draws.partner.astype(np.int64), images.device)
        region = GridRegion(kept, self.mask_patch, (h, w))
        lam = region.area() if self.area == "pixel" else kept.float().mean(dim=(1, 2))
        return MixedBatch(
            inputs=paste_cells(images, partner, kept, self.mask_patch),
            labels_a=labels,
            labels_b=labels[partner],
            lam_area=lam,
            partner=partner,
            region=region,
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
        h, w = images.shape[-2:]
        cells = grid_side(h, self.mask_patch) * grid_side(w, self.mask_patch)
        draws = draw_maskmix(generators, len(images), cells, self.alpha, self.pairs)
        return self.replay(images, labels, draws, aux)
