"""The contract of label space, and the arithmetic that all labelers share. Everything here is float32."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixpro_bench.backbones.contract import Need, Output
from mixpro_bench.errors import UserError
from mixpro_bench.mixing.batch import MixedBatch, Mixer
from mixpro_bench.mixing.region import ShareMode

Losses = dict[str, Tensor]
Stats = dict[str, Tensor]


def smooth_one_hot(labels: Tensor, num_classes: int, smoothing: float) -> Tensor:
    """Return smoothed one-hot rows: ``s / K`` everywhere and ``1 - s`` more at the class.

    Args:
        labels: Class indices, shape (B,).
        num_classes: Number of classes K.
        smoothing: s in [0, 1).

    Returns:
        float32, shape (B, K); rows sum to one.

    Examples:
        >>> smooth_one_hot(torch.tensor([1]), 4, 0.4)
        tensor([[0.1000, 0.7000, 0.1000, 0.1000]])
    """
    return F.one_hot(labels, num_classes).float() * (1 - smoothing) + smoothing / num_classes


def mix_targets(labels_a: Tensor, labels_b: Tensor, lam: Tensor, num_classes: int, smoothing: float) -> Tensor:
    """Return ``lam * e(A) + (1 - lam) * e(B)`` of smoothed one-hot rows, shape (B, K)."""
    a, b = (smooth_one_hot(y, num_classes, smoothing) for y in (labels_a, labels_b))
    return torch.lerp(b, a, lam.float()[:, None])


def mixed_cross_entropy(logits: Tensor, mixed: MixedBatch, lam: Tensor, smoothing: float) -> Tensor:
    """Return the cross-entropy to the label mixed with ``lam``, averaged over the batch.

    Cross-entropy is linear in its target, so no row of K targets is made:
    ``lam * CE(z, e(A)) + (1 - lam) * CE(z, e(B))``.

    Args:
        logits: Shape (B, K).
        mixed: Holds both labels.
        lam: Weight of A, shape (B,).
        smoothing: Label smoothing of both targets.
    """
    with torch.autocast(logits.device.type, enabled=False):
        z, lam = logits.float(), lam.float()
        a = F.cross_entropy(z, mixed.labels_a, reduction="none", label_smoothing=smoothing)
        b = F.cross_entropy(z, mixed.labels_b, reduction="none", label_smoothing=smoothing)
        return (lam * a + (1 - lam) * b).mean()


def target_loss(logits: Tensor, target: Tensor, loss: Literal["ce", "bce"]) -> Tensor:
    """Return cross-entropy or binary cross-entropy to dense targets.

    Args:
        logits: Shape (B, K).
        target: Shape (B, K).
        loss: ``"ce"``: soft-target cross-entropy, averaged over the batch. ``"bce"``: averaged over classes too
            (timm's ``BinaryCrossEntropy``).
    """
    with torch.autocast(logits.device.type, enabled=False):
        z = logits.float()
        if loss == "bce":
            return F.binary_cross_entropy_with_logits(z, target)
        return -(target * z.log_softmax(dim=1)).sum(dim=1).mean()


def attention_lambda(importance: Tensor | None, mixed: MixedBatch, mode: ShareMode = "area") -> tuple[Tensor, Tensor]:
    """Return the share of the importance that lies on A, and where it could not be told.

    Args:
        importance: Non-negative, shape (B, h, w); its scale does not matter.
        mixed: Gives the region and the area lambda, which stands in where importance is NaN, infinite or zero.
        mode: How the region is brought to the token grid; see `Region.share`.

    Returns:
        Lambda, float32 in [0, 1], shape (B,); True where the area stood in, shape (B,).

    Raises:
        UserError: If there is no importance.
    """
    if importance is None:
        raise UserError("labels that follow attention need the importance of the tokens; the backbone gave none")
    importance = importance.float()
    share = mixed.region.share(*importance.shape[1:], mode=mode)
    on_a, total = (importance * share).sum(dim=(1, 2)), importance.sum(dim=(1, 2))
    bad = ~(torch.isfinite(total) & (total > 0))
    lam = torch.where(bad, mixed.lam_area, on_a / torch.where(bad, torch.ones_like(total), total))
    return lam, bad


def check_smoothing(smoothing: float) -> None:
    """Refuse a label smoothing outside [0, 1).

    Raises:
        UserError: Naming the value.
    """
    if not 0 <= smoothing < 1:
        raise UserError(f"label smoothing={smoothing} lies outside [0, 1)")


def check_loss(loss: str) -> None:
    """Refuse a loss that is neither ``"ce"`` nor ``"bce"``.

    Raises:
        UserError: Naming the value.
    """
    if loss not in ("ce", "bce"):
        raise UserError(f"labeler loss={loss!r}: use 'ce' or 'bce'")


def check_local(labeler: Labeler, mixer: Mixer) -> None:
    """Refuse a mixer whose images show A and B everywhere in one proportion: no label can follow the places of A.

    Raises:
        UserError: Naming both.
    """
    if not mixer.local:
        raise UserError(
            f"{type(labeler).__name__} labels on {type(mixer).__name__} images make no sense: no place of the image "
            "belongs to one of the two; use labeler=dict(type='AreaLabel')"
        )


class Labeler(nn.Module):
    """Turns a mixed batch and the model's output into losses.

    Attributes:
        need: What it wants read out of the forward pass on the mixed images.
        needs_unmixed: What it wants of a forward pass on the unmixed images, or None for no such pass.
        needs_aux: Names of the per-sample tensors that the data must bring along beside images and labels.
        patch_size: Pixels per token side of the model; set by the policy.
        source: Paper and file that the labeler follows.
        exact: Under which arguments it equals the released code; None for what its authors did not release.
    """

    need: Need = Need()
    needs_unmixed: Need | None = None
    needs_aux: tuple[str, ...] = ()
    patch_size: int | None = None
    source: str = ""
    exact: str | None = None

    def setup(self, dim: int, num_classes: int) -> None:
        """Make what depends on the backbone, such as heads of its own; called once, when the model is built.

        Args:
            dim: Channels of the final tokens.
            num_classes: Number of classes K.
        """

    def check(self, mixer: Mixer) -> None:
        """Refuse a mixer that this labeler cannot serve, when the config is built.

        Raises:
            UserError: With the reason.
        """

    def prepare(self, images: Tensor, labels: Tensor, aux: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Look at a batch before it is mixed, and return the per-sample tensors that are to be mixed along with it.

        Args:
            images: Normalised images, shape (B, 3, H, W).
            labels: Class indices, shape (B,).
            aux: Further per-sample tensors of the batch, as the data brought them.
        """
        return aux

    @abstractmethod
    def forward(self, mixed: MixedBatch, out: Output, unmixed: Output | None = None) -> tuple[Losses, Stats]:
        """Return losses (summed by the model) and statistics (detached, averaged for display).

        Args:
            mixed: The mixed batch.
            out: Output on the mixed images.
            unmixed: Output on the unmixed images, when ``needs_unmixed``.
        """
