"""Dynamic Spatial Sparsification: places of an image that say little are dropped, or computed with less effort.

Small predictors score the places (DynamicViT, arXiv:2106.02034, and its extension, arXiv:2207.01580). In training a
decision is drawn for each, with a gradient; elsewhere those of the highest scores are taken. On DeiT (`dss_deit`)
patches are dropped; on Swin (`dss_swin`) the grid stays whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixpro_bench.backbones.native import Native
from mixpro_bench.errors import UserError

if TYPE_CHECKING:
    from mixpro_bench.labeling.network import Teacher


class Predictor(nn.Module):
    """Scores every patch by itself and by the mean of the patches that are left.

    Args:
        dim: Channels.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.LayerNorm(dim, eps=1e-6), nn.Linear(dim, dim), nn.GELU())
        self.score = nn.Sequential(
            *(nn.Linear(dim, dim // 2), nn.GELU(), nn.Linear(dim // 2, dim // 4), nn.GELU(), nn.Linear(dim // 4, 2))
        )

    def forward(self, x: Tensor, kept: Tensor | None = None) -> Tensor:
        """Score patches.

        Args:
            x: Patches, shape (B, N, C).
            kept: 1 for the patches that are left, 0 for the others, shape (B, N); None if all are.

        Returns:
            Log-probability of keeping and of dropping a patch, float32, shape (B, N, 2).
        """
        local, whole = self.embed(x).chunk(2, dim=-1)
        if kept is None:
            mean = whole.mean(dim=1, keepdim=True)
        else:
            # At least one: an image whose patches are all dropped has no mean.
            mean = (whole * kept[..., None]).sum(dim=1, keepdim=True) / kept.sum(dim=1).clamp(min=1)[:, None, None]
        both = torch.cat((local, mean.expand_as(local).to(local.dtype)), dim=-1)
        return self.score(both).float().log_softmax(dim=-1)


def decide(scores: Tensor) -> Tensor:
    """Draw for every patch whether it is kept: 1 or 0, with the gradient of the Gumbel-softmax; (B, N, 2) to (B, N)."""
    return F.gumbel_softmax(scores, hard=True)[..., 0]


def number_kept(patches: int, ratio: float) -> int:
    """Return how many patches are kept where nothing is drawn: ``int(patches * ratio)``, but not less than one."""
    # A ratio such as 0.7 - 0.2 may lie a rounding error below the number that is meant.
    return max(1, int(patches * ratio + 1e-6))


def ratio_loss(decisions: Sequence[Tensor], ratios: Sequence[float]) -> Tensor:
    """Return the squared distance of the kept share of each image from its ratio, mean over images and decisions.

    Args:
        decisions: 1 or 0 per patch, each of shape (B, N).
        ratios: Share that each is to keep.
    """
    missed = [(kept.mean(dim=1) - ratio).square().mean() for kept, ratio in zip(decisions, ratios, strict=True)]
    return torch.stack(missed).mean()


class DSS(Native):
    """What both variants have in common: predictors, and the losses they train with.

    Args:
        variant: A name of ``variants``.
        keep: Share of the patches that the first predictor keeps; 1 keeps all, which is the base network.
        teacher: The network without predictors, frozen: ``dict(name=..., checkpoint=...)`` and what else
            `mixpro_bench.labeling.network.Teacher` takes. It sees the mixed images, too. None trains without
            distillation.
        **kwargs: See `Native`.

    Raises:
        UserError: If ``keep`` leaves nothing, or the teacher has other classes or another width.
    """

    ratio_weight: float
    ratios: tuple[float, ...]
    teacher: Teacher | None = None

    def arrange(self, ratios: Sequence[float], dim: int, teacher: Mapping[str, Any] | None) -> None:
        """Make the predictors and the teacher.

        Args:
            ratios: Share of all patches that each predictor keeps.
            dim: Channels where the predictors stand.
            teacher: See the class.
        """
        if not all(0 < ratio <= 1 for ratio in ratios):
            raise UserError(
                f"model.backbone.keep: {self.name}'s predictors would keep shares of "
                f"{', '.join(f'{ratio:g}' for ratio in ratios)} of the patches; each must be above 0 and at most 1"
            )
        self.ratios = tuple(ratios)
        self.predictors = nn.ModuleList(Predictor(dim) for _ in ratios)
        if teacher is not None and self.num_classes:
            from mixpro_bench.labeling.network import Teacher

            self.teacher = Teacher(**teacher)
            theirs = (self.teacher.model.num_features, self.teacher.num_classes)
            if theirs != (self.embed_dim, self.num_classes):
                raise UserError(
                    f"model.backbone.teacher {self.teacher.name} has {theirs[0]} channels and {theirs[1]} classes, "
                    f"{self.name} {self.embed_dim} and {self.num_classes}: give the network it is made from"
                )

    @property
    def draws(self) -> bool:
        """Whether decisions are drawn: in the training of the classifier, if anything is to be dropped."""
        return self.training and not self.dense and min(self.ratios) < 1

    def losses(
        self,
        x: Tensor,
        tokens: Tensor,
        readout: Tensor,
        decisions: Sequence[Tensor],
        kept: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return the system's own losses in training.

        Args:
            x: The images, shape (B, 3, H, W).
            tokens: Patches after the final norm, shape (B, C, h, w).
            readout: What the classifier sees, shape (B, C).
            decisions: What was drawn, one (B, N) per predictor; none where nothing is to be dropped.
            kept: Patches that are compared with the teacher's, shape (B, h * w); None for all.
        """
        if not (self.training and self.num_classes):
            return {}
        if decisions:
            losses = {"ratio": self.ratio_weight * ratio_loss(decisions, self.ratios)}
        else:
            # What decides is idle then; DDP wants a gradient for every parameter all the same.
            idle = [p.sum() for name, p in self.named_parameters() if name.startswith(("predictors.", "fast_paths."))]
            losses = {"ratio": torch.stack(idle).sum() * 0.0}
        if self.teacher is not None:
            with torch.no_grad():
                model = self.teacher.model.to(x.device)
                features = model.forward_features(x)
                wanted = model.forward_head(features).float()
            found = self.head(readout).float()
            losses["distill_logits"] = 0.5 * F.kl_div(
                found.log_softmax(dim=-1), wanted.log_softmax(dim=-1), log_target=True, reduction="batchmean"
            )
            # Tokens (B, prefix + N, C) or a map (B, h, w, C).
            theirs = features.flatten(1, -2)[:, -tokens[0, 0].numel() :]
            missed = (tokens.flatten(2).mT.float() - theirs.float()).square().mean(dim=-1)
            if kept is None:
                losses["distill_tokens"] = 0.5 * missed.mean()
            else:
                kept = kept.detach()
                losses["distill_tokens"] = 0.5 * (missed * kept).sum() / kept.sum().clamp(min=1)
        return losses
