"""Area labels: each image weighs as much as the pixels it fills (Mixup, CutMix, and MaskMix without attention)."""

from __future__ import annotations

from mixpro_bench.backbones.contract import Output
from mixpro_bench.labeling.labeler import Labeler, Losses, Stats, check_smoothing, mixed_cross_entropy
from mixpro_bench.mixing.batch import MixedBatch
from mixpro_bench.registry import LABELERS


@LABELERS.register_module()
class AreaLabel(Labeler):
    """Cross-entropy to smoothed one-hot labels mixed by area.

    Args:
        smoothing: Label smoothing, in the target as timm does it.
    """

    def __init__(self, smoothing: float = 0.1) -> None:
        super().__init__()
        check_smoothing(smoothing)
        self.smoothing = smoothing

    def forward(self, mixed: MixedBatch, out: Output, unmixed: Output | None = None) -> tuple[Losses, Stats]:
        """Return the loss; see `Labeler.forward`."""
        loss = mixed_cross_entropy(out.logits, mixed, mixed.lam_area, self.smoothing)
        return {"loss_cls": loss}, {"lam_area": mixed.lam_area.mean()}
