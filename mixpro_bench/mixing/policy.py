"""Which mixing method runs at a step, with which labels: branches, probabilities and one coin per step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor, nn

from mixpro_bench.backbones.contract import Backbone, Need, Share
from mixpro_bench.errors import UserError
from mixpro_bench.mixing.batch import MixedBatch, Mixer, check_group
from mixpro_bench.registry import BATCH_AUGMENTS, LABELERS
from mixpro_bench.rng import rng


@dataclass(frozen=True)
class Place:
    """Where a run is: everything that its draws depend on.

    Attributes:
        seed: The run's seed.
        step: Optimizer steps done.
        rank: This process; with accumulated gradients, this part of the step's batch.
        world_size: Number of processes; with accumulated gradients, of parts.
    """

    seed: int
    step: int
    rank: int = 0
    world_size: int = 1


@dataclass(frozen=True)
class Branch:
    """One way to mix and label, and how often it runs."""

    mixer: Mixer
    labeler: nn.Module
    prob: float


class MixPolicy(nn.Module):
    """A choice among branches, each with its own labels.

    MixPro, for instance, runs MaskMix with attention labels half of the time, and Mixup or CutMix with area labels
    otherwise.

    Args:
        branches: Each ``dict(mixer=..., labeler=..., prob=...)``; probabilities sum to one.
        coin: ``"global"``: all processes take the same branch at a step. ``"rank"``: each its own, as the official
            codes do.
        mix_group: Samples that share one lambda and one permutation; None is the whole per-process batch, so that what
            is drawn depends on the number of processes.

    Raises:
        UserError: If probabilities or arguments are out of range, or a labeler refuses its mixer.
    """

    def __init__(
        self,
        branches: Sequence[dict],
        coin: Literal["global", "rank"] = "global",
        mix_group: int | None = None,
    ) -> None:
        super().__init__()
        if coin not in ("global", "rank"):
            raise UserError(f"policy.coin={coin!r}: use 'global' or 'rank'")
        if mix_group is not None and mix_group < 1:
            raise UserError(f"policy.mix_group={mix_group}: a mixing group has at least one sample")
        if not branches:
            raise UserError("policy.branches is empty: name at least one, such as dict(mixer=dict(type='NoMix'))")
        built = [_build_branch(i, spec) for i, spec in enumerate(branches)]
        total = sum(branch.prob for branch in built)
        if not np.isclose(total, 1):
            raise UserError(f"policy.branches: the probabilities sum to {total:g} instead of 1")
        self.branches = built
        self.labelers = nn.ModuleList([branch.labeler for branch in built])
        self.coin = coin
        self.mix_group = mix_group
        if mix_group is not None:
            self.check_batch(mix_group)

    def setup(self, backbone: Backbone, num_classes: int, image_size: tuple[int, int] | None = None) -> None:
        """Fit the branches to a backbone, or refuse.

        Args:
            backbone: The backbone that will be trained.
            num_classes: Number of classes.
            image_size: Height and width of the training images, if known.

        Raises:
            UserError: If a branch needs what the backbone cannot give, or does not fit its patches.
        """
        for branch in self.branches:
            needs = (branch.labeler.need, branch.labeler.needs_unmixed, branch.mixer.needs_unmixed)
            for need in filter(None, needs):
                backbone.check(need)
            branch.mixer.setup(image_size, backbone.patch_size)
            branch.labeler.patch_size = backbone.patch_size
            branch.labeler.setup(backbone.embed_dim, num_classes)

    @property
    def needs_aux(self) -> tuple[str, ...]:
        """Names of the per-sample tensors that the data must bring along for some branch."""
        return tuple(sorted({name for branch in self.branches for name in branch.labeler.needs_aux}))

    def choose(self, place: Place) -> Branch:
        """Return the branch of a step; a function of the place only."""
        coin = rng(place.seed, "branch", place.step, place.rank if self.coin == "rank" else 0).random()
        edges = np.cumsum([branch.prob for branch in self.branches])
        return self.branches[min(int(np.searchsorted(edges, coin, side="right")), len(self.branches) - 1)]

    def check_batch(self, batch: int) -> int:
        """Return the size of a mixing group, or refuse a batch whose samples cannot all be paired.

        Args:
            batch: Samples per process.

        Raises:
            UserError: If ``mix_group`` does not divide the batch, or a group is too small or odd for some branch.
        """
        size = self.mix_group or batch
        if batch % size:
            raise UserError(
                f"policy.mix_group={size} does not divide the batch of {batch} samples per process: take a "
                "multiple of it, or another mixing group"
            )
        for branch in self.branches:
            check_group(size, branch.mixer.pairs)
        return size

    def generators(self, place: Place, batch: int) -> list[np.random.Generator]:
        """Return one generator per mixing group of this process's batch.

        Groups are numbered over all processes, so two processes draw what one with twice the batch draws.
        """
        groups = batch // self.check_batch(batch)
        first = place.rank * groups
        return [rng(place.seed, "mix", place.step, first + i) for i in range(groups)]

    def unused(self, branch: Branch) -> list[Tensor]:
        """Return the parameters of the branches that a step does not run."""
        used = {id(p) for p in branch.labeler.parameters()}
        return [p for p in self.labelers.parameters() if id(p) not in used]


def share_of(mixed: MixedBatch) -> Share:
    """Return the share of A at the input of a backbone, for labelers that carry it through the blocks."""
    return Share(mixed.lam_area, mixed.region.share, (mixed.labels_a, mixed.labels_b))


def share_for(backbone: Backbone, mixed: MixedBatch, need: Need) -> Share | None:
    """Return the share of A at the input if the labeler needs it or the backbone itself does."""
    return share_of(mixed) if need.share or getattr(backbone, "takes_share", False) else None


def unmixed_need(branch: Branch) -> Need | None:
    """Return what a branch wants of a forward pass on the unmixed images, or None for no such pass."""
    needs = [need for need in (branch.mixer.needs_unmixed, branch.labeler.needs_unmixed) if need is not None]
    if not needs:
        return None
    joined = needs[0]
    for need in needs[1:]:
        joined = joined | need
    return joined


def _build_branch(index: int, spec: dict) -> Branch:
    spec = dict(spec)
    where = f"policy.branches[{index}]"
    extra = set(spec) - {"mixer", "labeler", "prob"}
    if extra or "mixer" not in spec:
        raise UserError(f"{where} takes mixer, labeler and prob; got {', '.join(sorted(spec))}")
    prob = spec.get("prob", 1.0)
    if not 0 < prob <= 1:
        raise UserError(f"{where}.prob={prob} lies outside (0, 1]; leave a branch out instead of giving it 0")
    mixer = BATCH_AUGMENTS.build(dict(spec["mixer"]))
    labeler = LABELERS.build(dict(spec.get("labeler", dict(type="AreaLabel"))))
    labeler.check(mixer)
    return Branch(mixer, labeler, prob)
