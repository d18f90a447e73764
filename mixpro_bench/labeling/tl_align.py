"""TL-Align: labels of tokens travel through the blocks as the tokens' contents do.

Source: TL-Align (ICCV 2023, arXiv 2210.06455); Euphoria16/TL-Align, timm/models/vision_transformer.py:197-243 and
engine.py:65. There, K label columns are propagated; every token's label is a convex combination of two labels, so the
share of A alone says the same (see `mixpro_bench.backbones.vit.read_block`).
"""

from __future__ import annotations

import torch

from mixpro_bench.backbones.contract import Need, Output
from mixpro_bench.errors import UserError
from mixpro_bench.labeling.labeler import (
    Labeler,
    Losses,
    Stats,
    check_local,
    check_smoothing,
    mixed_cross_entropy,
)
from mixpro_bench.mixing.batch import MixedBatch, Mixer
from mixpro_bench.registry import LABELERS


@LABELERS.register_module()
class TLAlign(Labeler):
    """TL-Align's labels: each image weighs as much as its share of what has reached the readout.

    The class token starts with the area label, every patch token with its own image's. Models that pool their tokens,
    for which the authors released nothing, take the mean share of the tokens.

    Args:
        smoothing: Label smoothing.
    """

    need = Need(share=True)
    source = "TL-Align, arXiv 2210.06455; Euphoria16/TL-Align vision_transformer.py:197-243"
    exact = "models with a class token"

    def __init__(self, smoothing: float = 0.1) -> None:
        super().__init__()
        check_smoothing(smoothing)
        self.smoothing = smoothing

    def check(self, mixer: Mixer) -> None:
        """Refuse a mixer without places; see `Labeler.check`."""
        check_local(self, mixer)

    def forward(self, mixed: MixedBatch, out: Output, unmixed: Output | None = None) -> tuple[Losses, Stats]:
        """Return the loss; see `Labeler.forward`."""
        if out.share is None:
            raise UserError("TLAlign needs the share of A that the backbone carries through its blocks; it gave none")
        share = out.share.float()
        bad = ~torch.isfinite(share)
        lam = torch.where(bad, mixed.lam_area, share.clamp(0, 1))
        stats = {"lam_area": mixed.lam_area.mean(), "lam": lam.mean(), "area_stood_in": bad.float().sum()}
        return {"loss_cls": mixed_cross_entropy(out.logits, mixed, lam, self.smoothing)}, stats
