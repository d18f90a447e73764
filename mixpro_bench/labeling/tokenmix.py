"""TokenMix's labels: how much of what a teacher sees of A's and of B's class is left in the mixed image.

Source: TokenMix (ECCV 2022, arXiv 2207.08409); Sense-X/TokenMix, tokenmix.py:24-65 and 330-354.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from mixpro_bench.backbones.contract import Output
from mixpro_bench.errors import UserError
from mixpro_bench.labeling.labeler import (
    Labeler,
    Losses,
    Stats,
    check_local,
    check_loss,
    check_smoothing,
    mix_targets,
    target_loss,
)
from mixpro_bench.labeling.network import Teacher
from mixpro_bench.labeling.teacher import locate
from mixpro_bench.mixing.batch import MixedBatch, Mixer
from mixpro_bench.registry import LABELERS


def normalise_map(scores: Tensor) -> Tensor:
    """Scale each map to sum 1; an empty map stays empty (tokenmix.py:341).

    Args:
        scores: Non-negative, shape (B, h, w).

    Returns:
        float32, shape (B, h, w).
    """
    scores = scores.float()
    return scores / (scores.sum(dim=(1, 2), keepdim=True) + 1e-8)


def teacher_scores(teacher_a: Tensor, teacher_b: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Return the score of A's class left in the mixed image, and that of B's (tokenmix.py:342-346).

    Args:
        teacher_a: The teacher's map of A's class in A, sum 1 per image, shape (B, h, w).
        teacher_b: The teacher's map of B's class in B, likewise.
        share: Share of A in each cell, shape (B, h, w).

    Returns:
        Two of shape (B,), each in [0, 1]; they need not sum to one.
    """
    return (share * teacher_a).sum(dim=(1, 2)), ((1 - share) * teacher_b).sum(dim=(1, 2))


def released_target(
    score_a: Tensor, score_b: Tensor, labels_a: Tensor, labels_b: Tensor, num_classes: int, smoothing: float
) -> Tensor:
    """Return the released target: ``s / K`` everywhere, ``score - s / 2`` more at each class (tokenmix.py:347-353).

    Rows need not sum to one, and a score below ``s / 2`` gives a negative value.

    Args:
        score_a: Shape (B,).
        score_b: Shape (B,).
        labels_a: Class indices, shape (B,).
        labels_b: Class indices, shape (B,).
        num_classes: K.
        smoothing: s.

    Returns:
        float32, shape (B, K).
    """
    on_a = (score_a - smoothing / 2)[:, None] * one_hot(labels_a, num_classes)
    on_b = (score_b - smoothing / 2)[:, None] * one_hot(labels_b, num_classes)
    return on_a + on_b + smoothing / num_classes


@LABELERS.register_module()
class TokenMixLabel(Labeler):
    """TokenMix's labels from a teacher's maps: stored ones that the data bring along, or those of a network run beside.

    Stored maps come as ``teacher_map`` (B, h, w) of the mirrored pictures, ``teacher_crop`` (B, 4) and, where images
    are warped too, ``teacher_warp`` (B, 2, 3); see `mixpro_bench.datasets.ImageFolder`. Maps that lie on the images
    already come as ``teacher`` (B, h, w).

    Args:
        smoothing: Label smoothing.
        normalise: Weigh A with its part of both scores, so that labels sum to one and are not negative. False is the
            released target, see `released_target`.
        loss: ``"bce"``, as the released script runs it, or ``"ce"``.
        fallback: What to do without teacher maps: ``"area"`` weighs all places alike; None refuses.
        axes: ``"swapped"``: stored maps are cut out with rows and columns exchanged, as released. ``"straight"``: they
            are not.
        teacher: Arguments of `Teacher`, such as ``dict(name='resnet50', checkpoint='resnet50.safetensors')``: the
            network looks at the unmixed images in every step that this labeler serves.

    Raises:
        UserError: If an argument is out of range.
    """

    source = "TokenMix, arXiv 2207.08409; Sense-X/TokenMix tokenmix.py:330-354"
    exact = "normalise=False, loss='bce', axes='swapped'"

    def __init__(
        self,
        smoothing: float = 0.1,
        normalise: bool = True,
        loss: Literal["ce", "bce"] = "ce",
        fallback: Literal["area"] | None = None,
        axes: Literal["straight", "swapped"] = "straight",
        teacher: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        check_smoothing(smoothing)
        check_loss(loss)
        if fallback not in ("area", None):
            raise UserError(f"TokenMixLabel fallback={fallback!r}: use 'area' or None")
        self.smoothing = smoothing
        self.normalise = normalise
        self.loss = loss
        if axes not in ("straight", "swapped"):
            raise UserError(f"TokenMixLabel axes={axes!r}: use 'straight' or 'swapped'")
        if teacher is not None and fallback is not None:
            raise UserError("TokenMixLabel with teacher needs no fallback: leave one of the two out")
        self.fallback = fallback
        self.axes = axes
        self.teacher = None if teacher is None else Teacher(**teacher)
        self.needs_aux = () if fallback or teacher else ("teacher",)

    def check(self, mixer: Mixer) -> None:
        """Refuse a mixer without places, or one that moves B's content away from B's map; see `Labeler.check`."""
        check_local(self, mixer)
        if mixer.moves:
            raise UserError(
                f"TokenMixLabel on {type(mixer).__name__} images: B's content is moved, so the teacher's map of B no "
                "longer lies over it; use another labeler"
            )

    def setup(self, dim: int, num_classes: int) -> None:
        """Refuse a teacher that tells of other classes; see `Labeler.setup`."""
        if self.teacher is None:
            return
        told = len(self.teacher.classes or range(self.teacher.num_classes))
        if told != num_classes:
            raise UserError(
                f"TokenMixLabel teacher {self.teacher.name} tells of {told} classes, but the model has {num_classes}: "
                "give teacher.classes, the teacher's class index of each of them"
            )

    def prepare(self, images: Tensor, labels: Tensor, aux: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the maps of the images' own classes as ``teacher``; see `Labeler.prepare`."""
        rest = {name: value for name, value in aux.items() if not name.startswith("teacher")}
        if self.teacher is not None:
            return {**rest, "teacher": self.teacher.own_class(images, labels)}
        if "teacher_map" not in aux:
            return aux
        if self.patch_size is None:
            raise UserError("TokenMixLabel does not know the model's patch: build it in a MixPolicy and set that up")
        size = (images.shape[-2] // self.patch_size, images.shape[-1] // self.patch_size)
        maps, crop, warp = aux["teacher_map"], aux["teacher_crop"], aux.get("teacher_warp")
        return {**rest, "teacher": locate(maps, crop, warp, size, swapped=self.axes == "swapped")}

    def scores(self, mixed: MixedBatch) -> tuple[Tensor, Tensor]:
        """Return both scores of a batch, or the areas where there are no maps and that is wanted.

        Raises:
            UserError: If there are no maps and no fallback.
        """
        if "teacher_a" not in mixed.aux:
            if self.fallback is None:
                raise UserError(
                    "TokenMixLabel needs a teacher's maps, and the batch has no field 'teacher': give the dataset "
                    "teacher maps (mixpro-bench teacher-maps), or set labeler.fallback='area'"
                )
            return mixed.lam_area, 1 - mixed.lam_area
        own, other = (normalise_map(mixed.aux[name]) for name in ("teacher_a", "teacher_b"))
        return teacher_scores(own, other, mixed.region.share(own.shape[1], own.shape[2]))

    def forward(self, mixed: MixedBatch, out: Output, unmixed: Output | None = None) -> tuple[Losses, Stats]:
        """Return the loss; see `Labeler.forward`."""
        classes = out.logits.shape[1]
        with torch.autocast(out.logits.device.type, enabled=False):
            score_a, score_b = self.scores(mixed)
            total = score_a + score_b
            empty = ~(torch.isfinite(total) & (total > 0))
            lam = torch.where(empty, mixed.lam_area, score_a / torch.where(empty, torch.ones_like(total), total))
            if self.normalise:
                target = mix_targets(mixed.labels_a, mixed.labels_b, lam, classes, self.smoothing)
            else:
                target = released_target(score_a, score_b, mixed.labels_a, mixed.labels_b, classes, self.smoothing)
        stats = {
            "lam_area": mixed.lam_area.mean(),
            "lam": lam.mean(),
            "score": total.mean(),
            "area_stood_in": empty.float().sum(),
        }
        return {"loss_cls": target_loss(out.logits, target, self.loss)}, stats
