"""The base of the systems that timm lacks: written here, one file each, behind the same contract."""

from __future__ import annotations

import difflib
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mixpro_bench.backbones.cam import Cam
from mixpro_bench.backbones.contract import Backbone, Need, Output, Share
from mixpro_bench.errors import UserError


@dataclass(frozen=True)
class Encoded:
    """What a system makes of a batch of B images.

    Attributes:
        maps: One map per stage, before any norm of the readout, shape (B, C_i, h_i, w_i).
        tokens: Patch tokens before pooling, after the final norm where it stands before pooling, (B, C, h, w).
        readout: What the classifier sees, shape (B, C); None in dense use.
        weights: Attention on the tokens, of any scale, non-negative, detached, float32, (B, h, w); None if not asked
            for.
        share: Share of A at the readout, shape (B,); None if not asked for.
        aux_losses: Losses of systems that train with their own.
    """

    maps: list[Tensor]
    tokens: Tensor
    readout: Tensor | None = None
    weights: Tensor | None = None
    share: Tensor | None = None
    aux_losses: Mapping[str, Tensor] = field(default_factory=dict)


class Native(Backbone):
    """A system written in this package.

    A subclass names its published variants and their sizes in ``variants``, makes its modules in `build` and runs
    them in `encode`. Its modules are called ``stem``, ``stages.<i>.downsample``, ``stages.<i>.blocks.<j>``, what comes
    after the last stage as it likes, and ``head`` (made here): depths for layer-wise decay follow from the names.
    What `build` sets: ``patch_size``, ``embed_dim``, ``stage_channels``, ``stage_strides``, and where they differ from
    the defaults ``importance_kinds``, ``gives_share`` and ``smallest``.

    Args:
        variant: One of ``variants``.
        num_classes: Size of the classifier; ignored with ``dense=True``.
        dense: Return feature maps from ``forward``, without a classifier.
        img_size: Side of the square images the classifier is built for; tables that depend on the image size are
            made for it and resized for others. The variant's own by default.
        out_indices: Which stages give the feature maps; the last four (repeated where there are fewer) by default.
        drop_path_rate: Stochastic depth of the last block; it grows linearly from 0.
        grad_checkpointing: Recompute activations in the backward pass to save memory.
        init_cfg: Usually ``dict(type='mixpro_bench.Handover', checkpoint=...)``.
        **sizes: Replace sizes of the variant.

    Attributes:
        variants: Name of each published variant and its sizes, the arguments of `build`.
        readout: First parts of the names of parameters that no feature map depends on; with ``dense=True`` they stay,
            so that a checkpoint fits whole, but are not trained.
        smallest: Smallest side of an image that the system takes.

    Raises:
        UserError: If the variant, a size or an index of ``out_indices`` is unknown.
    """

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    readout: ClassVar[tuple[str, ...]] = ()
    smallest: int = 32
    stage_channels: list[int]
    stage_strides: list[int]

    def __init__(
        self,
        variant: str,
        *,
        num_classes: int = 1000,
        dense: bool = False,
        img_size: int | None = None,
        out_indices: Sequence[int] | None = None,
        drop_path_rate: float = 0.0,
        grad_checkpointing: bool = False,
        init_cfg: dict | None = None,
        **sizes,
    ) -> None:
        super().__init__(init_cfg)
        if variant not in self.variants:
            close = difflib.get_close_matches(variant, self.variants, n=1)
            near = f"; did you mean {close[0]!r}?" if close else ""
            raise UserError(
                f"model.backbone.variant={variant!r} is no {type(self).__name__}; there are "
                f"{', '.join(self.variants)}{near}"
            )
        chosen = dict(self.variants[variant])
        unknown = sorted(set(sizes) - set(chosen))
        if unknown:
            raise UserError(
                f"model.backbone: {type(self).__name__} has no argument {', '.join(unknown)}; its sizes are "
                f"{', '.join(chosen)}"
            )
        chosen.update(sizes)
        if img_size is not None:
            chosen["img_size"] = img_size
        self.name = variant
        self.dense = dense
        self.num_classes = 0 if dense else num_classes
        self.grad_checkpointing = grad_checkpointing
        self.img_size = int(chosen.setdefault("img_size", 224))
        self.build(drop_path_rate=drop_path_rate, **chosen)
        self.head = self.make_head() if self.num_classes else nn.Identity()
        self.out_indices = self._checked(out_indices)
        self.out_channels = [self.stage_channels[i] for i in self.out_indices]
        self.out_strides = [self.stage_strides[i] for i in self.out_indices]
        self._depths = _block_depths(self)
        self.num_layers = len(self._depths) + 2
        if dense:
            for name, parameter in self.named_parameters():
                if name.split(".")[0] in self.readout:
                    parameter.requires_grad_(False)

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width the classifier was built for, None if it takes any."""
        return None

    @abstractmethod
    def build(self, *, drop_path_rate: float, img_size: int, **sizes) -> None:
        """Make the modules, and set the attributes that the class names."""

    @abstractmethod
    def encode(self, x: Tensor, *, kind: str | None = None, share: Share | None = None) -> Encoded:
        """Run the system.

        Args:
            x: Images, shape (B, 3, H, W), of any size from ``smallest`` on.
            kind: Kind of attention to read; None for none, and never ``"cam"``.
            share: Share of A at the input, where it is to be carried through the blocks or ``takes_share``.
        """

    def make_head(self) -> nn.Module:
        """Return the classifier."""
        return nn.Linear(self.embed_dim, self.num_classes)

    def head_weight(self) -> Tensor:
        """Return the classifier's rows, shape (K, C), times the gain of a norm between pooling and classifier."""
        return self.head.weight

    def classify(self, x: Tensor, need: Need, share: Share | None) -> Output:
        """Return logits and what ``need`` asks for."""
        self.check(need)
        self.check_size(x)
        kind = self.importance_kinds[0] if need.importance == "auto" else need.importance
        wanted = need.share or self.takes_share
        out = self.encode(x, kind=None if kind == "cam" else kind, share=share if wanted else None)
        weights = out.weights
        if weights is not None:
            weights = weights / weights.sum(dim=(1, 2), keepdim=True)
        cam = Cam(out.tokens.detach(), self.head_weight().detach()) if kind == "cam" else None
        tokens = out.tokens if need.tokens else None
        return Output(self.head(out.readout), weights, out.share, tokens, cam, out.aux_losses)

    def features(self, x: Tensor) -> list[Tensor]:
        """Return feature maps in NCHW for images of any size from ``smallest`` on."""
        self.check_size(x)
        maps = self.encode(x).maps
        return [maps[i] for i in self.out_indices]

    def check_size(self, x: Tensor) -> None:
        """Refuse images smaller than the system can take.

        Raises:
            UserError: Naming both sizes.
        """
        h, w = x.shape[-2:]
        if min(h, w) < self.smallest:
            raise UserError(f"backbone {self.name} takes images from {self.smallest} px a side on, not {h} x {w}")

    def run(self, function: Callable, *args, **kwargs):
        """Call a function, with activation checkpointing if that is on."""
        if self.grad_checkpointing and torch.is_grad_enabled():
            return checkpoint(function, *args, use_reentrant=False, **kwargs)
        return function(*args, **kwargs)

    def layer_id(self, name: str) -> int:
        """Return the depth of a parameter: 0 for the stem, one per block, ``num_layers - 1`` for the readout."""
        if name.startswith(("stem.", "pos_embed", "position")):
            return 0
        if not name.startswith("stages."):
            return self.num_layers - 1
        block = re.match(r"stages\.\d+\.blocks\.\d+\.", name)
        if block:
            return self._depths[block[0]]
        # What leads into a stage goes with its first block; what closes it, a norm for instance, does too.
        stage = re.match(r"stages\.\d+\.", name)
        assert stage is not None
        return self._depths[f"{stage[0]}blocks.0."]

    def _checked(self, out_indices: Sequence[int] | None) -> list[int]:
        n = len(self.stage_channels)
        if out_indices is None:
            return list(range(n))[-4:] if n >= 4 else [0] * (4 - n) + list(range(n))
        if not all(isinstance(i, int) and 0 <= i < n for i in out_indices):
            raise UserError(f"model.backbone.out_indices={list(out_indices)}: {self.name} has stages 0 to {n - 1}")
        return list(out_indices)


def _block_depths(module: nn.Module) -> dict[str, int]:
    names: dict[str, None] = {}
    for name, _ in module.named_parameters():
        found = re.match(r"stages\.\d+\.blocks\.\d+\.", name)
        if found:
            names.setdefault(found[0])
    ordered = sorted(names, key=lambda name: [int(part) for part in re.findall(r"\d+", name)])
    return {name: depth for depth, name in enumerate(ordered, start=1)}
