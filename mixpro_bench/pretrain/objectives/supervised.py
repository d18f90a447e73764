"""Supervised pretraining on mixed images: one step of mixing, forward pass and labelling."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mixpro_bench.backbones.contract import Backbone, Output
from mixpro_bench.mixing.policy import Branch, MixPolicy, Place, share_for, unmixed_need


def supervised_losses(
    backbone: Backbone,
    policy: MixPolicy,
    branch: Branch,
    place: Place,
    images: Tensor,
    labels: Tensor,
    aux: Mapping[str, Tensor] | None = None,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Mix a batch, run the backbone on it, and label the result.

    Args:
        backbone: The backbone being trained.
        policy: Gives the draws, and knows the parameters that this step leaves alone.
        branch: The branch of this step.
        place: Where the run is.
        images: Normalised images, shape (B, 3, H, W).
        labels: Class indices, shape (B,).
        aux: Further per-sample tensors of the batch.

    Returns:
        Losses to be summed, and statistics.
    """
    unmixed = look_at_unmixed(backbone, branch, images, labels)
    aux = branch.labeler.prepare(images, labels, aux or {})
    mixed = branch.mixer(images, labels, policy.generators(place, len(images)), unmixed, aux)
    need = branch.labeler.need
    out: Output = backbone(mixed.inputs, need=need, share=share_for(backbone, mixed, need))
    out = out.for_labels(mixed.labels_a, mixed.labels_b, mixed.region.share)
    losses, stats = branch.labeler(mixed, out, unmixed)
    losses.update({f"loss_{name}": value for name, value in out.aux_losses.items()})
    unused = policy.unused(branch)
    if unused:
        # DDP expects a gradient for every parameter at every step.
        losses["loss_unused"] = torch.stack([p.sum() for p in unused]).sum() * 0.0
    return losses, stats


def look_at_unmixed(backbone: Backbone, branch: Branch, images: Tensor, labels: Tensor) -> Output | None:
    """Run the backbone on the unmixed images, in evaluation mode and without gradients, if the branch asks for it."""
    need = unmixed_need(branch)
    if need is None:
        return None
    training = backbone.training
    backbone.eval()
    full_precision = getattr(branch.mixer, "unmixed_fp32", False)
    kind = images.device.type
    with torch.no_grad(), torch.autocast(kind, enabled=torch.is_autocast_enabled(kind) and not full_precision):
        unmixed = backbone(images, need=need).for_labels(labels)
    backbone.train(training)
    return unmixed
