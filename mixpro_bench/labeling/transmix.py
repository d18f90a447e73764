"""TransMix: the label is the mean of area and attention.

Source: TransMix (CVPR 2022, arXiv 2111.09833); Beckschen/TransMix, transmix.py:67-91.
"""

from __future__ import annotations

from typing import Literal

import torch

from mixpro_bench.backbones.contract import ImportanceKind, Need, Output
from mixpro_bench.errors import UserError
from mixpro_bench.labeling.labeler import (
    Labeler,
    Losses,
    Stats,
    attention_lambda,
    check_local,
    check_smoothing,
    mixed_cross_entropy,
)
from mixpro_bench.mixing.batch import MixedBatch, Mixer
from mixpro_bench.mixing.region import ShareMode
from mixpro_bench.registry import LABELERS


@LABELERS.register_module()
class TransMix(Labeler):
    """TransMix's labels: ``weight * attention + (1 - weight) * area``.

    Args:
        smoothing: Label smoothing.
        weight: Weight of the attention. Released: the plain mean, 0.5, whatever its ``ratio`` says (transmix.py:89).
            1 is the paper's headline formula.
        downsample: How the image region meets the token grid. ``"nearest"``: the first pixel of a token decides, as
            released (transmix.py:85), so that small boxes can vanish. ``"area"``: exact.
        importance: Kind of token importance; ``"auto"`` is the backbone's own. Only ``"cls"`` was released.

    Raises:
        UserError: If an argument is out of range.
    """

    source = "TransMix, arXiv 2111.09833; Beckschen/TransMix transmix.py:67-91"
    exact = "weight=0.5, downsample='nearest', importance='cls'"

    def __init__(
        self,
        smoothing: float = 0.1,
        weight: float = 0.5,
        downsample: ShareMode = "area",
        importance: ImportanceKind | Literal["auto"] = "auto",
    ) -> None:
        super().__init__()
        check_smoothing(smoothing)
        if not 0 <= weight <= 1:
            raise UserError(f"TransMix weight={weight} lies outside [0, 1]")
        if downsample not in ("area", "nearest"):
            raise UserError(f"TransMix downsample={downsample!r}: use 'area' or 'nearest'")
        self.smoothing = smoothing
        self.weight = weight
        self.downsample = downsample
        self.need = Need(importance=importance)

    def check(self, mixer: Mixer) -> None:
        """Refuse a mixer without places; see `Labeler.check`."""
        check_local(self, mixer)

    def forward(self, mixed: MixedBatch, out: Output, unmixed: Output | None = None) -> tuple[Losses, Stats]:
        """Return the loss; see `Labeler.forward`."""
        with torch.autocast(out.logits.device.type, enabled=False):
            lam_attention, stood_in = attention_lambda(out.importance, mixed, self.downsample)
            lam = self.weight * lam_attention + (1 - self.weight) * mixed.lam_area
        stats = {
            "lam_area": mixed.lam_area.mean(),
            "lam_attention": lam_attention.mean(),
            "lam": lam.mean(),
            "area_stood_in": stood_in.float().sum(),
        }
        return {"loss_cls": mixed_cross_entropy(out.logits, mixed, lam, self.smoothing)}, stats
