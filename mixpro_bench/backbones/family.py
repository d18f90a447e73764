"""What all families of backbones have in common; one file per family holds the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mixpro_bench.backbones.cam import Cam
from mixpro_bench.backbones.contract import Need, Output, Share
from mixpro_bench.errors import UserError


def as_map(tokens: Tensor, h: int, w: int) -> Tensor:
    """Turn patch tokens (B, h * w, C) into a map (B, C, h, w)."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, h, w)


class Family:
    """How one class of timm models meets the backbone contract; holds no parameters of its own.

    Args:
        model: The timm model.
        dense: Whether it serves detection and segmentation, so that images may have any size.

    Attributes:
        patch_size: See `Backbone`.
        embed_dim: See `Backbone`.
        importance_kinds: See `Backbone`.
        gives_share: See `Backbone`.
        readout: First parts of the names of parameters that no feature map depends on.
        fixed_size: Whether the model is built for one image size (``img_size``).
        grad_checkpointing: Whether activations are recomputed in the backward pass.
    """

    patch_size: int
    embed_dim: int
    importance_kinds: tuple[str, ...] = ()
    gives_share: bool = False
    readout: tuple[str, ...] = ()
    fixed_size: bool = True

    def __init__(self, model: nn.Module, dense: bool) -> None:
        self.model = model
        self.grad_checkpointing = False

    @staticmethod
    def arguments(dense: bool) -> dict[str, object]:
        """Return what ``timm.create_model`` is given in addition."""
        return {}

    def maps(self, out_indices: Sequence[int] | None) -> tuple[list[int], list[int], list[int]]:
        """Return indices, channels and strides of the feature maps.

        Args:
            out_indices: Blocks of a plain model or stages of a hierarchical one; by default four, evenly spread.

        Raises:
            UserError: If an index names no block or stage.
        """
        info = self.model.feature_info
        n = len(info)
        if out_indices is None:
            out_indices = [(i + 1) * n // 4 - 1 for i in range(4)] if n >= 4 else [n - 1] * 4
        if not all(0 <= i < n for i in out_indices):
            raise UserError(
                f"model.backbone.out_indices={list(out_indices)}: this backbone has blocks (or stages) 0 to {n - 1}"
            )
        channels, strides = ([info[i][key] for i in out_indices] for key in ("num_chs", "reduction"))
        return list(out_indices), channels, strides

    def classify(self, x: Tensor, need: Need, share: Share | None) -> Output:
        """Return logits and what ``need`` asks for."""
        raise NotImplementedError

    def features(self, x: Tensor, out_indices: Sequence[int]) -> list[Tensor]:
        """Return the feature maps of blocks or stages ``out_indices``, in NCHW."""
        raise NotImplementedError

    def head_weight(self) -> Tensor:
        """Return the classifier's rows, shape (K, C), times the gain of a norm between pooling and classifier."""
        return self.model.head.weight

    def kind(self, need: Need) -> str | None:
        """Return the kind of importance that is asked for, the family's own for ``"auto"``."""
        return self.importance_kinds[0] if need.importance == "auto" else need.importance

    def run(self, function: Callable, *args, **kwargs):
        """Call a function, with activation checkpointing if that is on."""
        if self.grad_checkpointing and torch.is_grad_enabled():
            return checkpoint(function, *args, use_reentrant=False, **kwargs)
        return function(*args, **kwargs)

    def output(
        self, logits: Tensor, tokens: Tensor, need: Need, weights: Tensor | None = None, share: Tensor | None = None
    ) -> Output:
        """Put an `Output` together.

        Args:
            logits: Shape (B, K).
            tokens: Patch tokens before pooling, shape (B, C, h, w).
            need: What is asked for.
            weights: Attention on the tokens, shape (B, h, w) or (B, h * w), of any scale.
            share: Share of A at the readout, shape (B,).
        """
        if weights is not None:
            weights = weights / weights.flatten(1).sum(dim=1).view(-1, *[1] * (weights.ndim - 1))
            weights = weights.reshape(-1, *tokens.shape[-2:])
        cam = Cam(tokens.detach(), self.head_weight().detach()) if self.kind(need) == "cam" else None
        return Output(logits, weights, share, tokens if need.tokens else None, cam)


def input_share(share: Share | None, h: int, w: int) -> Tensor:
    """Return the share of A of every token of a grid, float32, shape (B, h, w).

    Raises:
        ValueError: If the caller asks for the share at the readout and gives none at the input.
    """
    if share is None:
        raise ValueError("need.share asks for the share of A at the readout: give its share at the input")
    return share.at(h, w).float()


def token_share(share: Share | None, h: int, w: int, prefix: int) -> Tensor:
    """Return the share of A of every token, shape (B, prefix + h * w); the prefix tokens start with the area's."""
    patches = input_share(share, h, w).flatten(1)
    assert share is not None
    return torch.cat((share.lam[:, None].to(patches).expand(-1, prefix), patches), dim=1)
