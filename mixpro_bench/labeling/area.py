"""Area labels: each image weighs as much as the pixels it fills (Mixup, CutMix, and MaskMix without attention)."""

from __future__ import annotations

from typing import Literal

from mixpro_bench.backbones.contract import Output
from mixpro_bench.labeling.labeler import (
    Labeler,
    Losses,
    Stats,
    check_loss,
    check_smoothing,
    mix_targets,
    mixed_cross_entropy,
    target_loss,
)
from mixpro_bench.mixing.batch import MixedBatch
from mixpro_bench.registry import LABELERS


@LABELERS.register_module()
class AreaLabel(Labeler):
    """Cross-entropy to smoothed one-hot labels mixed by area.

    Args:
        smoothing: Label smoothing, in the target as timm does it.
        loss: ``"ce"``, or ``"bce"`` for binary cross-entropy to the same target (TokenMix's recipe).
    """

    source = "soft-target cross-entropy; timm/data/mixup.py"
    exact = "always"

    def __init__(self, smoothing: float = 0.1, loss: Literal["ce", "bce"] = "ce") -> None:
        super().__init__()
        check_smoothing(smoothing)
        check_loss(loss)
        self.smoothing = smoothing
        self.loss = loss

    def forward(self, mixed: MixedBatch, out: Output, unmixed: Output | None = None) -> tuple[Losses, Stats]:
        """Return the loss; see `Labeler.forward`."""
        if self.loss == "ce":
            loss = mixed_cross_entropy(out.logits, mixed, mixed.lam_area, self.smoothing)
        else:
            classes = out.logits.shape[1]
            target = mix_targets(mixed.labels_a, mixed.labels_b, mixed.lam_area, classes, self.smoothing)
            loss = target_loss(out.logits, target, self.loss)
        return {"loss_cls": loss}, {"lam_area": mixed.lam_area.mean()}
