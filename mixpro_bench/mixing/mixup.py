"""Mixup and CutMix with timm's semantics: one draw per group, the partner is the group reversed.

Source: Mixup (arXiv 1710.09412), CutMix (arXiv 1905.04899); semantics of timm/data/mixup.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from mixpro_bench.backbones.contract import Output
from mixpro_bench.errors import UserError
from mixpro_bench.mixing.batch import MixedBatch, Mixer, group_size, pair_aux, partners, to_device, unmixed_batch
from mixpro_bench.mixing.cells import take_images
from mixpro_bench.mixing.region import BoxRegion, ConstantRegion
from mixpro_bench.registry import BATCH_AUGMENTS


@dataclass(frozen=True)
class BoxDraws:
    """What CutMix draws: lambda and the box centre of each sample, all shape (B,)."""

    lam: np.ndarray
    cy: np.ndarray
    cx: np.ndarray
    partner: np.ndarray


def draw_boxes(
    generators: Sequence[np.random.Generator], batch: int, h: int, w: int, alpha: float, pairs: str = "flip"
) -> BoxDraws:
    """Draw lambda and a box centre per group, the centre uniform over an ``h`` x ``w`` grid."""
    size = group_size(batch, len(generators))
    partner = partners(generators, batch, pairs)
    each = [(g.beta(alpha, alpha), g.integers(h), g.integers(w)) for g in generators]
    lam, cy, cx = (np.repeat(np.array(column), size) for column in zip(*each, strict=True))
    return BoxDraws(lam, cy, cx, partner)


def boxes(draws: BoxDraws, h: int, w: int) -> np.ndarray:
    """Return the boxes of B: sides ``int(side * sqrt(1 - lam))``, halved on both sides of the centre and clipped.

    Returns:
        Top, bottom, left, right, half open, int64, shape (B, 4).
    """
    ratio = np.sqrt(1 - draws.lam)
    half_h, half_w = (h * ratio).astype(np.int64) // 2, (w * ratio).astype(np.int64) // 2
    top, bottom = np.clip(draws.cy - half_h, 0, h), np.clip(draws.cy + half_h, 0, h)
    left, right = np.clip(draws.cx - half_w, 0, w), np.clip(draws.cx + half_w, 0, w)
    return np.stack((top, bottom, left, right), axis=1).astype(np.int64)


def paste_boxes(images: Tensor, partner: np.ndarray, boxes: np.ndarray) -> Tensor:
    """Paste each partner's box over the image, at its place.

    The boxes are known on the host and equal within a mixing group, so every group is one rectangular copy.

    Args:
        images: Shape (B, 3, H, W).
        partner: Row of the partner, on the host, shape (B,).
        boxes: Top, bottom, left, right, half open, on the host, shape (B, 4).

    Returns:
        New tensor, shape (B, 3, H, W).
    """
    mixed = images.clone(memory_format=torch.contiguous_format)
    groups = runs(boxes)
    # Where partners stay among themselves, sample giver[j] of a group takes the box of sample j: a copy without a
    # temporary in between.
    order = np.concatenate([np.argsort(partner[first:last], kind="stable") for first, last in groups])
    start = np.concatenate([np.full(last - first, first) for first, last in groups])
    closed = bool((partner[order + start] == np.arange(len(partner))).all())
    rows = to_device((order if closed else partner).astype(np.int64), images.device)
    for first, last in groups:
        top, bottom, left, right = boxes[first].tolist()
        place = mixed[first:last, :, top:bottom, left:right]
        if closed:
            place.index_copy_(0, rows[first:last], images[first:last, :, top:bottom, left:right])
        else:
            place.copy_(images[rows[first:last], :, top:bottom, left:right])
    return mixed


def runs(rows: np.ndarray) -> list[tuple[int, int]]:
    """Return the half-open ranges of equal consecutive rows: the mixing groups.

    Examples:
        >>> runs(np.array([[1, 2], [1, 2], [3, 4]]))
        [(0, 2), (2, 3)]
    """
    change = np.flatnonzero((rows[1:] != rows[:-1]).any(axis=1)) + 1
    edges = [0, *change.tolist(), len(rows)]
    return list(pairwise(edges))


def boxed_batch(
    method: str,
    images: Tensor,
    labels: Tensor,
    partner: np.ndarray,
    box: np.ndarray,
    aux: Mapping[str, Tensor] | None = None,
) -> MixedBatch:
    """Return the batch in which each partner's box lies over the image; lambda is what the box leaves of A.

    Args:
        method: Name of the mixer.
        images: Shape (B, 3, H, W).
        labels: Class indices, shape (B,).
        partner: Row of the partner, on the host, shape (B,).
        box: Top, bottom, left, right in pixels, half open, on the host, shape (B, 4).
        aux: Further per-sample tensors of the batch.
    """
    h, w = images.shape[-2:]
    rows = to_device(partner.astype(np.int64), images.device)
    kept = 1 - (box[:, 1] - box[:, 0]) * (box[:, 3] - box[:, 2]) / (h * w)
    return MixedBatch(
        inputs=paste_boxes(images, partner, box),
        labels_a=labels,
        labels_b=labels[rows],
        lam_area=to_device(kept.astype(np.float32), images.device),
        partner=rows,
        region=BoxRegion(to_device(box, images.device), (h, w)),
        method=method,
        aux=pair_aux(aux, rows),
    )


def check_alpha(name: str, alpha: float) -> None:
    """Refuse a parameter the Beta distribution does not have.

    Raises:
        UserError: If ``alpha`` is not positive.
    """
    if not alpha > 0:
        raise UserError(f"{name} alpha={alpha}: Beta needs a positive parameter; leave the branch out instead")


@BATCH_AUGMENTS.register_module()
class NoMix(Mixer):
    """Leaves images alone."""

    pairs = "self"
    local = False
    source = "no mixing"
    exact = "always"

    @property
    def name(self) -> str:
        """The name in statistics."""
        return "none"

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        generators: Sequence[np.random.Generator],
        unmixed: Output | None = None,
        aux: Mapping[str, Tensor] | None = None,
    ) -> MixedBatch:
        """Return the batch unmixed; see `Mixer`."""
        return unmixed_batch(images, labels, aux)


@BATCH_AUGMENTS.register_module()
class Mixup(Mixer):
    """Blends two images with one weight.

    Args:
        alpha: Parameter of the Beta distribution of lambda.
    """

    local = False
    source = "Mixup, arXiv 1710.09412; timm/data/mixup.py"
    exact = "always"

    def __init__(self, alpha: float = 0.8) -> None:
        check_alpha("Mixup", alpha)
        self.alpha = alpha

    def replay(
        self, images: Tensor, labels: Tensor, lam: np.ndarray, partner: np.ndarray, aux: Mapping | None = None
    ) -> MixedBatch:
        """Mix a batch with given draws."""
        weight = to_device(lam.astype(np.float32), images.device)
        rows = to_device(partner.astype(np.int64), images.device)
        blend = take_images(images, rows).lerp_(images, weight.to(images.dtype)[:, None, None, None])
        region = ConstantRegion(weight, (images.shape[-2], images.shape[-1]))
        return MixedBatch(blend, labels, labels[rows], weight, rows, region, self.name, pair_aux(aux, rows))

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        generators: Sequence[np.random.Generator],
        unmixed: Output | None = None,
        aux: Mapping[str, Tensor] | None = None,
    ) -> MixedBatch:
        """Mix a batch; see `Mixer`."""
        size = group_size(len(images), len(generators))
        partner = partners(generators, len(images), self.pairs)
        lam = np.repeat([g.beta(self.alpha, self.alpha) for g in generators], size)
        return self.replay(images, labels, lam, partner, aux)


@BATCH_AUGMENTS.register_module()
class CutMix(Mixer):
    """Pastes a box of the partner; lambda is recomputed from the clipped box.

    Args:
        alpha: Parameter of the Beta distribution of the kept area.
    """

    source = "CutMix, arXiv 1905.04899; timm/data/mixup.py"
    exact = "always"

    def __init__(self, alpha: float = 1.0) -> None:
        check_alpha("CutMix", alpha)
        self.alpha = alpha

    def replay(self, images: Tensor, labels: Tensor, draws: BoxDraws, aux: Mapping | None = None) -> MixedBatch:
        """Mix a batch with given draws."""
        return boxed_batch(self.name, images, labels, draws.partner, boxes(draws, *images.shape[-2:]), aux)

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
        return self.replay(images, labels, draw_boxes(generators, len(images), h, w, self.alpha, self.pairs), aux)
