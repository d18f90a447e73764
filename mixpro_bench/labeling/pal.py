"""Progressive Attention Labeling: the label follows the model's attention as far as its prediction can be trusted.

Source: MixPro (ICLR 2023, arXiv 2304.12043); fistyee/MixPro, main.py:287-311.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mixpro_bench.backbones.contract import ImportanceKind, Need, Output
from mixpro_bench.labeling.labeler import (
    Labeler,
    Losses,
    Stats,
    attention_lambda,
    check_local,
    check_smoothing,
    mix_targets,
    mixed_cross_entropy,
)
from mixpro_bench.mixing.batch import MixedBatch, Mixer
from mixpro_bench.registry import LABELERS


def progressive_factor(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cosine between prediction and area-mixed target (main.py:305).

    Args:
        logits: Shape (B, K).
        target: Area-mixed, smoothed label, shape (B, K).

    Returns:
        float32 in [0, 1], shape (B,). For a uniform prediction ``1 / (sqrt(K) * norm(target))``.
    """
    return F.cosine_similarity(target, logits.float().softmax(dim=1), dim=1)


def progressive_lambda(factor: Tensor, lam_attention: Tensor, lam_area: Tensor) -> Tensor:
    """Return ``factor * lam_attention + (1 - factor) * lam_area`` (main.py:306), shape (B,)."""
    return factor * lam_attention + (1 - factor) * lam_area


@LABELERS.register_module()
class PAL(Labeler):
    """MixPro's label half.

    Args:
        smoothing: Label smoothing of the target that the prediction is compared with.
        loss_smoothing: Label smoothing of the loss. None takes ``smoothing``; the released code trains this half of
            its batches on hard labels, which is 0 (main.py:310).
        detach: Treat the factor as a constant. The released code lets the gradient through (main.py:305).
        importance: Kind of token importance; ``"auto"`` is the backbone's own. Only ``"cls"`` was released.
    """

    source = "MixPro, arXiv 2304.12043; fistyee/MixPro main.py:287-311"
    exact = "loss_smoothing=0, detach=False, importance='cls'"

    def __init__(
        self,
        smoothing: float = 0.1,
        loss_smoothing: float | None = None,
        detach: bool = True,
        importance: ImportanceKind | Literal["auto"] = "auto",
    ) -> None:
        super().__init__()
        check_smoothing(smoothing)
        self.smoothing = smoothing
        self.loss_smoothing = smoothing if loss_smoothing is None else loss_smoothing
        check_smoothing(self.loss_smoothing)
        self.detach = detach
        self.need = Need(importance=importance)

    def check(self, mixer: Mixer) -> None:
        """Refuse a mixer without places; see `Labeler.check`."""
        check_local(self, mixer)

    def forward(self, mixed: MixedBatch, out: Output, unmixed: Output | None = None) -> tuple[Losses, Stats]:
        """Return the loss; see `Labeler.forward`."""
        with torch.autocast(out.logits.device.type, enabled=False):
            lam_attention, stood_in = attention_lambda(out.importance, mixed)
            target = mix_targets(mixed.labels_a, mixed.labels_b, mixed.lam_area, out.logits.shape[1], self.smoothing)
            factor = progressive_factor(out.logits.detach() if self.detach else out.logits, target)
            lam = progressive_lambda(factor, lam_attention, mixed.lam_area)
        loss = mixed_cross_entropy(out.logits, mixed, lam, self.loss_smoothing)
        stats = {
            "lam_area": mixed.lam_area.mean(),
            "lam_attention": lam_attention.mean(),
            "lam": lam.detach().mean(),
            "factor": factor.detach().mean(),
            "area_stood_in": stood_in.float().sum(),
        }
        return {"loss_cls": loss}, stats
