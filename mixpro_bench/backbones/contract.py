"""What every backbone promises, in pretraining as in detection and segmentation.

Whatever is read out of a forward pass is a return value. An attribute left behind by a hook would go stale under
``torch.compile``, activation checkpointing or DDP; a return value cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from mmengine.model import BaseModule
from torch import Tensor

from mixpro_bench.backbones.cam import Cam
from mixpro_bench.errors import UserError

ImportanceKind = Literal["cls", "class_attn", "mean_attn", "cam"]


@dataclass(frozen=True)
class Need:
    """What a caller wants read out beside the logits.

    Attributes:
        importance: Kind of token importance, or ``"auto"`` for the backbone's own kind, or None. ``"cam"`` comes as
            `Output.cam`, since it depends on labels.
        share: Whether the share of A is to be carried through the blocks (TL-Align).
        tokens: Whether the final patch tokens are wanted.
    """

    importance: ImportanceKind | Literal["auto"] | None = None
    share: bool = False
    tokens: bool = False

    def __or__(self, other: Need) -> Need:
        """Join two needs; the first importance that is asked for wins."""
        return Need(self.importance or other.importance, self.share or other.share, self.tokens or other.tokens)


@dataclass(frozen=True)
class Share:
    """The share of image A that enters the first block.

    Attributes:
        lam: Share of the class token (and of registers), shape (B,).
        at: ``at(h, w)`` gives the share of every patch token of an ``h`` x ``w`` grid, shape (B, h, w).
        labels: Class indices of A and of B, each of shape (B,), for systems that label their patches.
    """

    lam: Tensor
    at: Callable[[int, int], Tensor]
    labels: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True)
class Output:
    """What a backbone returns for a batch of B images and a token grid of h x w.

    Attributes:
        logits: Class logits, shape (B, K).
        importance: Non-negative weight of every token, detached, float32, sum 1 per image, shape (B, h, w).
        share: Share of A that has reached the readout (class token or pooled tokens), detached, shape (B,).
        tokens: Patch tokens after the final norm, shape (B, C, h, w).
        cam: In place of ``importance`` for the kind ``"cam"``, which depends on labels: see `for_labels`.
        aux_losses: Losses of systems that train with their own.
    """

    logits: Tensor
    importance: Tensor | None = None
    share: Tensor | None = None
    tokens: Tensor | None = None
    cam: Cam | None = None
    aux_losses: Mapping[str, Tensor] = field(default_factory=dict)

    def for_labels(
        self, labels_a: Tensor, labels_b: Tensor | None = None, share: Callable[[int, int], Tensor] | None = None
    ) -> Output:
        """Return the output with ``importance`` made of ``cam``, or itself where there is no ``cam``.

        Args:
            labels_a: Class indices of A, shape (B,).
            labels_b: Class indices of B, shape (B,); None for images that are not mixed.
            share: ``share(h, w)`` gives the share of A in each cell of a grid, shape (B, h, w), as `Region.share` does.
        """
        if self.cam is None:
            return self
        at = share(*self.cam.grid) if share is not None else None
        return replace(self, importance=self.cam.importance(labels_a, labels_b, at))


class Backbone(BaseModule):
    """A vision backbone with a classifier (pretraining) or without one (``dense=True``, transfer).

    Attributes:
        dense: Whether ``forward`` returns feature maps, as mmdet and mmseg expect, instead of an `Output`.
        patch_size: Pixels per token side at the place where images are cut into tokens.
        embed_dim: Channels of `Output.tokens`.
        out_channels: Channels of each map of `features`.
        out_strides: Pixels per cell of each map of `features`.
        importance_kinds: Kinds of importance the backbone can give; the first is its own.
        gives_share: Whether the share of A can be carried through its blocks.
        takes_share: Whether its blocks themselves use the share of A at the input, as labels of the patches; it is
            then told of every mixed batch, whatever the labeler needs.
        num_layers: Number of layer ids, stem and readout included (also where ``dense=True`` leaves the readout out).
    """

    dense: bool = False
    patch_size: int
    embed_dim: int
    out_channels: list[int]
    out_strides: list[int]
    importance_kinds: tuple[str, ...] = ()
    gives_share: bool = False
    takes_share: bool = False
    num_layers: int

    def forward(self, x: Tensor, *, need: Need | None = None, share: Share | None = None):
        """Run the backbone.

        Args:
            x: Images, shape (B, 3, H, W).
            need: What to read out beside the logits (pretraining only).
            share: Share of A at the input; required when ``need.share``, wanted when ``takes_share``.

        Returns:
            An `Output`, or with ``dense=True`` the tuple of feature maps.
        """
        if self.dense:
            return tuple(self.features(x))
        return self.classify(x, need or Need(), share)

    def classify(self, x: Tensor, need: Need, share: Share | None) -> Output:
        """Return logits and what ``need`` asks for."""
        raise NotImplementedError

    def features(self, x: Tensor) -> list[Tensor]:
        """Return feature maps in NCHW for images of any size; map i has stride ``out_strides[i]``."""
        raise NotImplementedError

    def layer_id(self, name: str) -> int:
        """Return the depth of a parameter: 0 for the stem, ``num_layers - 1`` for the readout."""
        raise NotImplementedError

    def check(self, need: Need) -> None:
        """Refuse, before any training, a need that this backbone cannot meet.

        Raises:
            UserError: Naming what is missing and what there is.
        """
        kinds = (*self.importance_kinds, "auto") if self.importance_kinds else ()
        name = getattr(self, "name", type(self).__name__)
        if need.importance is not None and need.importance not in kinds:
            raise UserError(
                f"backbone {name} cannot give importance={need.importance!r}; "
                f"it gives {', '.join(self.importance_kinds) or 'none'}"
            )
        if need.share and not self.gives_share:
            raise UserError(f"backbone {name} cannot carry the share of A through its blocks, as TL-Align needs")

    def init_weights(self) -> None:
        """Apply ``init_cfg`` only: submodules initialised themselves, and a second time would undo a Handover."""
        if self.init_cfg and not self.is_init:  # type: ignore[has-type]
            from mmengine.model import initialize

            initialize(self, self.init_cfg)
        self.is_init = True
