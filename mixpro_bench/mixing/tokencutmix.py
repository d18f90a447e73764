"""Token-aligned CutMix: a box of whole tokens from the partner.

Source: TL-Align (ICCV 2023, arXiv 2210.06455); Euphoria16/TL-Align, tla.py:57-80 and 135-158.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from mixpro_bench.backbones.contract import Output
from mixpro_bench.mixing.batch import MixedBatch, group_size, partners
from mixpro_bench.mixing.mixup import BoxDraws, boxed_batch, boxes, check_alpha
from mixpro_bench.mixing.tokens import TokenMixer
from mixpro_bench.registry import BATCH_AUGMENTS

# On a grid of two tokens a side nearly every box is empty: there redrawing ends here.
MAX_DRAWS = 100


def draw_token_boxes(
    generators: Sequence[np.random.Generator],
    batch: int,
    rows: int,
    columns: int,
    alpha: float,
    pairs: str = "flip",
    empty: bool = True,
) -> BoxDraws:
    """Draw lambda and a box centre per group, in tokens.

    Args:
        generators: One per mixing group.
        batch: Batch size.
        rows: Rows of the token grid.
        columns: Columns of the token grid.
        alpha: Parameter of Beta(alpha, alpha).
        pairs: How partners are chosen; see `Mixer`.
        empty: Accept a box without a token, as released: there only a lambda of exactly 1 is drawn again
            (tla.py:138), and boxes of side 0 or 1 end up empty.
    """

    def one(g: np.random.Generator) -> tuple[float, int, int]:
        for _ in range(MAX_DRAWS):
            lam, cy, cx = g.beta(alpha, alpha), int(g.integers(rows)), int(g.integers(columns))
            top, bottom, left, right = boxes(BoxDraws(*(np.array([v]) for v in (lam, cy, cx, 0))), rows, columns)[0]
            if lam < 1 and (empty or (bottom > top and right > left)):
                break
        return lam, cy, cx

    size = group_size(batch, len(generators))
    partner = partners(generators, batch, pairs)
    each = [one(g) for g in generators]
    lam, cy, cx = (np.repeat(np.array(column), size) for column in zip(*each, strict=True))
    return BoxDraws(lam, cy, cx, partner)


@BATCH_AUGMENTS.register_module()
class TokenCutMix(TokenMixer):
    """TL-Align's image half: CutMix with the token grid in place of the pixels.

    Args:
        patch: Pixels per token side; None takes the model's patch. Released: 16.
        alpha: Parameter of the Beta distribution of the kept area.
        empty: Accept boxes without a token, as released; otherwise they are drawn again.
    """

    source = "TL-Align, arXiv 2210.06455; Euphoria16/TL-Align tla.py:57-158"
    exact = "empty=True"

    def __init__(self, patch: int | None = None, alpha: float = 1.0, empty: bool = False) -> None:
        super().__init__(patch)
        check_alpha("TokenCutMix", alpha)
        self.alpha = alpha
        self.empty = empty

    def replay(self, images: Tensor, labels: Tensor, draws: BoxDraws, aux: Mapping | None = None) -> MixedBatch:
        """Mix a batch with given draws, in tokens."""
        tokens = boxes(draws, *self.grid(*images.shape[-2:]))
        return boxed_batch(self.name, images, labels, draws.partner, tokens * self.patch, aux)

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        generators: Sequence[np.random.Generator],
        unmixed: Output | None = None,
        aux: Mapping[str, Tensor] | None = None,
    ) -> MixedBatch:
        """Mix a batch; see `Mixer`."""
        rows, columns = self.grid(*images.shape[-2:])
        draws = draw_token_boxes(generators, len(images), rows, columns, self.alpha, self.pairs, self.empty)
        return self.replay(images, labels, draws, aux)
