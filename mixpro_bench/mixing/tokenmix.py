"""TokenMix: a mask of tokens, grown from random blocks or drawn one by one, decides what comes from the partner.

Source: TokenMix (ECCV 2022, arXiv 2207.08409); Sense-X/TokenMix, tokenmix.py:166-229 and 305-327.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from mixpro_bench.backbones.contract import Output
from mixpro_bench.errors import UserError
from mixpro_bench.mixing.batch import MixedBatch, group_size, pair_aux, partners, to_device
from mixpro_bench.mixing.cells import paste_cells
from mixpro_bench.mixing.mixup import check_alpha
from mixpro_bench.mixing.region import GridRegion
from mixpro_bench.mixing.tokens import TokenMixer
from mixpro_bench.registry import BATCH_AUGMENTS

# Blocks are between 0.3 and 1 / 0.3 times as high as wide; a block is tried for ten times (tokenmix.py:166-209).
LOG_ASPECT = math.log(1 / 0.3)
TRIES = 10

Uniform = Callable[[float, float], float]
Integer = Callable[[int, int], int]


@dataclass(frozen=True)
class TokenMixDraws:
    """What TokenMix draws for B samples.

    Attributes:
        taken: True where a token comes from B, shape (B, rows, columns).
        partner: Shape (B,).
    """

    taken: np.ndarray
    partner: np.ndarray


def taken_tokens(tokens: int, kept: float, extra: int) -> int:
    """Return how many tokens come from B: ``int((1 - kept) * tokens) + extra``, at most all (tokenmix.py:167, 213).

    Examples:
        >>> taken_tokens(196, 0.5, 14)
        112
    """
    return min(tokens, int((1 - kept) * tokens) + extra)


def block_mask(rows: int, columns: int, target: int, uniform: Uniform, integer: Integer, smallest: int = 1):
    """Cover ``target`` tokens with random blocks (tokenmix.py:166-209).

    Args:
        rows: Rows of the token grid.
        columns: Columns of the token grid.
        target: Tokens to cover; never more are.
        uniform: ``uniform(low, high)`` draws a number.
        integer: ``integer(low, high)`` draws an integer, both ends included.
        smallest: Smallest area that is drawn for a block.

    Returns:
        bool, shape (rows, columns). Fewer tokens are covered when ten blocks in a row did not fit.
    """
    mask = np.zeros((rows, columns), dtype=bool)
    covered, fits = 0, True
    while covered < target and fits:
        fits = False
        for _ in range(TRIES):
            area = uniform(smallest, target - covered)
            aspect = math.exp(uniform(-LOG_ASPECT, LOG_ASPECT))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if h >= rows or w >= columns:
                continue
            top, left = integer(0, rows - h), integer(0, columns - w)
            block = mask[top : top + h, left : left + w]
            new = h * w - int(block.sum())
            if 0 < new <= target - covered:
                block[:] = True
                covered, fits = covered + new, True
                break
    return mask


def random_mask(rows: int, columns: int, target: int, order: np.ndarray) -> np.ndarray:
    """Cover the first ``target`` tokens of a random order (tokenmix.py:212-229).

    Returns:
        bool, shape (rows, columns).
    """
    mask = np.zeros(rows * columns, dtype=bool)
    mask[order[:target]] = True
    return mask.reshape(rows, columns)


@BATCH_AUGMENTS.register_module()
class TokenMix(TokenMixer):
    """TokenMix's image half. One mask per mixing group.

    Args:
        kind: ``"block"`` (released default) or ``"random"``.
        patch: Pixels per token side; None takes the model's patch. Released: 16 at 224 pixels.
        ratio: ``"const"``: A keeps ``kept`` of the tokens, whatever the Beta draw, as released (tokenmix.py:265, 311).
            ``"beta"``: A keeps a share drawn from Beta(alpha, alpha), as CutMix does.
        kept: Share of the tokens that A keeps before ``extra`` more go to B.
        extra: Tokens that go to B in addition; None is one in 14, the released 14 of 196 (and 0 with
            ``ratio='beta'``).
        alpha: Parameter of the Beta distribution, with ``ratio='beta'``.

    Raises:
        UserError: If an argument is out of range.
    """

    source = "TokenMix, arXiv 2207.08409; Sense-X/TokenMix tokenmix.py:166-229"
    exact = "ratio='const', kept=0.5, extra=None (224 pixels and patch 16 there)"

    def __init__(
        self,
        kind: Literal["block", "random"] = "block",
        patch: int | None = None,
        ratio: Literal["const", "beta"] = "const",
        kept: float = 0.5,
        extra: int | None = None,
        alpha: float = 1.0,
    ) -> None:
        super().__init__(patch)
        if kind not in ("block", "random"):
            raise UserError(f"TokenMix kind={kind!r}: use 'block' or 'random'")
        if ratio not in ("const", "beta"):
            raise UserError(f"TokenMix ratio={ratio!r}: use 'const' or 'beta'")
        if not 0 <= kept <= 1:
            raise UserError(f"TokenMix kept={kept} lies outside [0, 1]")
        if extra is not None and extra < 0:
            raise UserError(f"TokenMix extra={extra}: give zero or more tokens")
        check_alpha("TokenMix", alpha)
        self.kind, self.ratio, self.kept, self.extra, self.alpha = kind, ratio, kept, extra, alpha

    def draw(self, generators: Sequence[np.random.Generator], batch: int, rows: int, columns: int) -> TokenMixDraws:
        """Draw a mask per group, and partners."""
        size = group_size(batch, len(generators))
        partner = partners(generators, batch, self.pairs)
        masks = [self._mask(g, rows, columns) for g in generators]
        return TokenMixDraws(np.repeat(np.stack(masks), size, axis=0), partner)

    def _mask(self, g: np.random.Generator, rows: int, columns: int) -> np.ndarray:
        tokens = rows * columns
        kept = self.kept if self.ratio == "const" else g.beta(self.alpha, self.alpha)
        extra = self.extra
        if extra is None:
            extra = round(tokens / 14) if self.ratio == "const" else 0
        target = taken_tokens(tokens, kept, extra)
        if self.kind == "random":
            return random_mask(rows, columns, target, g.permutation(tokens))
        return block_mask(rows, columns, target, g.uniform, lambda low, high: int(g.integers(low, high + 1)))

    def replay(self, images: Tensor, labels: Tensor, draws: TokenMixDraws, aux: Mapping | None = None) -> MixedBatch:
        """Mix a batch with given draws."""
        h, w = images.shape[-2:]
        cell = h // self.grid(h, w)[0]
        kept = to_device(~draws.taken, images.device)
        partner = to_device(draws.partner.astype(np.int64), images.device)
        return MixedBatch(
            inputs=paste_cells(images, partner, kept, cell),
            labels_a=labels,
            labels_b=labels[partner],
            lam_area=kept.float().mean(dim=(1, 2)),
            partner=partner,
            region=GridRegion(kept, cell, (h, w)),
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
        draws = self.draw(generators, len(images), *self.grid(*images.shape[-2:]))
        return self.replay(images, labels, draws, aux)
