"""The contract of image space: what a mixer returns, and what it draws from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from mixpro_bench.backbones.contract import Need, Output
from mixpro_bench.errors import UserError
from mixpro_bench.mixing.region import ConstantRegion, Region


@dataclass(frozen=True)
class MixedBatch:
    """B mixed images and everything the label side may want to know of them.

    A is the image itself, B its partner. Lambda and region always speak of A.

    Attributes:
        inputs: Mixed images, shape (B, 3, H, W).
        labels_a: Class index of A, shape (B,).
        labels_b: Class index of B, shape (B,).
        lam_area: Area weight of A, float32, shape (B,).
        partner: Row of the partner in the batch, shape (B,).
        region: Where A is.
        method: Name of the mixer that made it.
        aux: What a particular labeler needs in addition, such as a teacher's maps; what the batch brought along as
            ``name`` stands here as ``name_a`` and ``name_b``.
    """

    inputs: Tensor
    labels_a: Tensor
    labels_b: Tensor
    lam_area: Tensor
    partner: Tensor
    region: Region
    method: str
    aux: Mapping[str, Tensor] = field(default_factory=dict)


class Mixer(ABC):
    """Mixes a batch in image space: draws on the CPU, then calls a pure function on the device.

    Attributes:
        pairs: ``"shuffle"``: a random permutation per mixing group (fixed points allowed). ``"flip"``: the group in
            reverse order, as timm does; needs an even group.
        needs_unmixed: What the mixer must see of the unmixed images first (SMMix), if anything.
        local: Whether each place of the mixed image shows one image only, so that labels can follow attention.
        moves: Whether B's content may end up elsewhere than where it was in B.
        source: Paper and file that the mixer follows.
        exact: Under which arguments it equals the released code; None for what its authors did not release.
    """

    pairs: str = "flip"
    local: bool = True
    moves: bool = False
    source: str = ""
    exact: str | None = None
    needs_unmixed: Need | None = None

    @property
    def name(self) -> str:
        """The registered name in lower case, as it stands in statistics."""
        return type(self).__name__.lower()

    @abstractmethod
    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        generators: Sequence[np.random.Generator],
        unmixed: Output | None = None,
        aux: Mapping[str, Tensor] | None = None,
    ) -> MixedBatch:
        """Mix a batch.

        Args:
            images: Shape (B, 3, H, W); never modified.
            labels: Class indices, shape (B,).
            generators: One per mixing group; B is a multiple of their number.
            unmixed: Output on the unmixed images, when ``needs_unmixed``.
            aux: Further per-sample tensors of the batch, such as a teacher's maps.
        """

    def setup(self, image_size: tuple[int, int] | None, patch_size: int) -> None:  # noqa: B027
        """Fit the mixer to the model, or refuse; called once, when the model is built.

        Args:
            image_size: Height and width of the training images, None if not known yet.
            patch_size: Pixels per token side of the model.

        Raises:
            UserError: Naming the values and the way out.
        """


def partners(generators: Sequence[np.random.Generator], batch: int, pairs: str) -> np.ndarray:
    """Draw the partner of every sample, within its mixing group.

    Args:
        generators: One per mixing group.
        batch: Batch size, a multiple of the number of groups.
        pairs: ``"shuffle"`` or ``"flip"``; see `Mixer`.

    Returns:
        int64, shape (batch,).

    Raises:
        UserError: If there is nobody to pair a sample with.
    """
    size = group_size(batch, len(generators))
    check_group(size, pairs)
    if pairs == "flip":
        return np.concatenate([start + np.arange(size)[::-1] for start in range(0, batch, size)])
    return np.concatenate([g.permutation(size) + i * size for i, g in enumerate(generators)])


def check_group(size: int, pairs: str) -> None:
    """Refuse a mixing group in which a sample would be left without a partner.

    Raises:
        UserError: If the group is odd and pairs are formed by reversing it, or has one sample.
    """
    if pairs == "flip" and size % 2:
        raise UserError(
            f"this mixing method pairs samples two by two, but the mixing group has {size} samples: "
            "use an even train_dataloader.batch_size (or mix_group)"
        )
    if pairs == "shuffle" and size < 2:
        raise UserError(
            "this mixing method needs pairs, but the mixing group has one sample: "
            "use train_dataloader.batch_size (or mix_group) of at least 2"
        )


def group_size(batch: int, groups: int) -> int:
    """Return the samples per mixing group.

    Raises:
        UserError: If the groups do not divide the batch.
    """
    if batch % groups:
        raise UserError(f"{groups} mixing groups do not divide {batch} samples: mix_group must divide the batch size")
    return batch // groups


def pair_aux(aux: Mapping[str, Tensor] | None, partner: Tensor) -> dict[str, Tensor]:
    """Return per-sample tensors ``name`` as those of A, ``name_a``, and of B, ``name_b``."""
    pairs = {}
    for name, value in (aux or {}).items():
        pairs[f"{name}_a"], pairs[f"{name}_b"] = value, value[partner]
    return pairs


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """Copy a handful of drawn numbers to the device without waiting for it."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def unmixed_batch(images: Tensor, labels: Tensor, aux: Mapping[str, Tensor] | None = None) -> MixedBatch:
    """Return a batch in which every image is its own partner with lambda 1."""
    lam = torch.ones(len(images), dtype=torch.float32, device=images.device)
    own = torch.arange(len(images), device=images.device)
    region = ConstantRegion(lam, (images.shape[-2], images.shape[-1]))
    return MixedBatch(images, labels, labels, lam, own, region, "none", pair_aux(aux, own))
