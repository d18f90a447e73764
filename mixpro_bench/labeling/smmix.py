"""SMMix's losses: area labels, one label per source of tokens, and consistency with the unmixed images.

Source: SMMix (ICCV 2023, arXiv 2212.12977); ChenMnZ/SMMix, engine.py:39-51 and deit.py:295-301.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from timm.layers import trunc_normal_
from torch import Tensor, nn

from mixpro_bench.backbones.contract import Need, Output
from mixpro_bench.errors import UserError
from mixpro_bench.labeling.labeler import Labeler, Losses, Stats, check_smoothing, mixed_cross_entropy
from mixpro_bench.mixing.batch import MixedBatch, Mixer
from mixpro_bench.mixing.smmix import SMMix
from mixpro_bench.registry import LABELERS


def pool_tokens(tokens: Tensor, share: Tensor) -> Tensor:
    """Return the mean of the tokens, weighted by a share that is zero or one for whole tokens (deit.py:295-301).

    Args:
        tokens: Shape (B, C, h, w).
        share: Shape (B, h, w).

    Returns:
        Shape (B, C).
    """
    weight = (share / share.sum(dim=(1, 2), keepdim=True)).to(tokens.dtype)
    return (tokens * weight[:, None]).sum(dim=(2, 3))


def blend_predictions(logits: Tensor, partner: Tensor, lam: Tensor, consistency: Literal["logits", "probs"]) -> Tensor:
    """Return the distribution that the prediction on mixed images should agree with.

    Args:
        logits: On the unmixed images, shape (B, K).
        partner: Shape (B,).
        lam: Weight of A, shape (B,).
        consistency: ``"logits"``: blend logits, then softmax, as released (smmix.py:126-128). ``"probs"``: blend
            the predicted distributions.

    Returns:
        float32, shape (B, K); rows sum to one.
    """
    value = logits.detach().float()
    if consistency == "probs":
        value = value.softmax(dim=1)
    blend = lam[:, None] * value + (1 - lam[:, None]) * value[partner]
    return blend if consistency == "probs" else blend.softmax(dim=1)


@LABELERS.register_module()
class SMMixLabel(Labeler):
    """SMMix's label half; its token head is no part of the backbone and does not go into transfers.

    Args:
        smoothing: Label smoothing.
        consistency: See `blend_predictions`.

    Raises:
        UserError: If an argument is out of range.
    """

    need = Need(tokens=True)
    needs_unmixed = Need()
    source = "SMMix, arXiv 2212.12977; ChenMnZ/SMMix engine.py:39-51"
    exact = "consistency='logits'"

    def __init__(self, smoothing: float = 0.1, consistency: Literal["logits", "probs"] = "logits") -> None:
        super().__init__()
        check_smoothing(smoothing)
        if consistency not in ("logits", "probs"):
            raise UserError(f"SMMixLabel consistency={consistency!r}: use 'logits' or 'probs'")
        self.smoothing = smoothing
        self.consistency = consistency
        self.token_head: nn.Linear | None = None

    def setup(self, dim: int, num_classes: int) -> None:
        """Make the token head, a second linear classifier (deit.py); see `Labeler.setup`."""
        self.token_head = nn.Linear(dim, num_classes)
        trunc_normal_(self.token_head.weight, std=0.02)
        nn.init.zeros_(self.token_head.bias)

    def check(self, mixer: Mixer) -> None:
        """Refuse any mixer but SMMix, whose pass over the unmixed images these losses rest on."""
        if not isinstance(mixer, SMMix):
            raise UserError(
                f"SMMixLabel needs mixer=dict(type='SMMix'), not {type(mixer).__name__}: its consistency loss takes "
                "the unmixed predictions that only that mixer asks for"
            )

    def forward(self, mixed: MixedBatch, out: Output, unmixed: Output | None = None) -> tuple[Losses, Stats]:
        """Return the three losses; see `Labeler.forward`."""
        if unmixed is None or out.tokens is None or self.token_head is None:
            raise UserError("SMMixLabel needs setup(), the final tokens, and the output on the unmixed images")
        share = mixed.region.share(*out.tokens.shape[2:])
        own = self.token_head(pool_tokens(out.tokens, share))
        pasted = self.token_head(pool_tokens(out.tokens, 1 - share))
        with torch.autocast(out.logits.device.type, enabled=False):
            fine_a = F.cross_entropy(own.float(), mixed.labels_a, label_smoothing=self.smoothing)
            fine_b = F.cross_entropy(pasted.float(), mixed.labels_b, label_smoothing=self.smoothing)
            wanted = blend_predictions(unmixed.logits, mixed.partner, mixed.lam_area, self.consistency)
            consistency = F.kl_div(out.logits.float().log_softmax(dim=1), wanted, reduction="batchmean")
        losses = {
            "loss_cls": mixed_cross_entropy(out.logits, mixed, mixed.lam_area, self.smoothing),
            "loss_fine": (fine_a + fine_b) / 2,
            "loss_consistency": consistency,
        }
        return losses, {"lam_area": mixed.lam_area.mean()}
