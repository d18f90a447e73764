"""Plain Vision Transformers of timm (``timm.models.VisionTransformer``: DeiT, ViT, DeiT-III, ...)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from timm.layers import Attention
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mixpro_bench.backbones.attention import attend
from mixpro_bench.backbones.contract import Need, Output, Share
from mixpro_bench.errors import UserError


def read_block(
    block: Block, x: Tensor, *, read: str | None, prefix: int, share: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Run one transformer block and read from its attention; see `attend` for arguments and results.

    The share is averaged with its attended value, one half standing for the residual branch (TL-Align,
    vision_transformer.py:234-243).
    """
    attended, row, mixed = attend(block.attn, block.norm1(x), read=read, prefix=prefix, share=share)
    x = x + block.drop_path1(block.ls1(attended))
    x = x + block.drop_path2(block.ls2(block.mlp(block.norm2(x))))
    return x, row, None if mixed is None else (mixed + share) / 2


class ViT:
    """How a plain ViT of timm meets the backbone contract; holds no parameters of its own.

    Args:
        model: The timm model.
    """

    gives_share = True

    def __init__(self, model: VisionTransformer) -> None:
        self.model = model
        self.prefix = model.num_prefix_tokens
        self.patch_size = model.patch_embed.patch_size[0]
        self.embed_dim = model.embed_dim
        self.depth = len(model.blocks)
        self.readable = all(type(b) is Block and type(b.attn) is Attention for b in model.blocks)
        self.importance_kinds = self._importance_kinds()
        self.gives_share = self.readable

    @staticmethod
    def arguments(dense: bool) -> dict[str, object]:
        """Return what ``timm.create_model`` is given in addition: positions are resampled to any image size."""
        return dict(dynamic_img_size=True, dynamic_img_pad=dense)

    def _importance_kinds(self) -> tuple[str, ...]:
        if not self.readable:
            return ()
        return ("cls", "mean_attn") if self.model.cls_token is not None else ("mean_attn",)

    def maps(self, out_indices: Sequence[int] | None) -> tuple[list[int], list[int], list[int]]:
        """Return block indices, channels and strides of the feature maps; by default four, evenly spread."""
        if out_indices is None:
            out_indices = [(i + 1) * self.depth // 4 - 1 for i in range(4)] if self.depth >= 4 else [self.depth - 1] * 4
        if not all(0 <= i < self.depth for i in out_indices):
            raise UserError(f"out_indices={list(out_indices)}: this backbone has blocks 0 to {self.depth - 1}")
        return list(out_indices), [self.embed_dim] * len(out_indices), [self.patch_size] * len(out_indices)

    def embed(self, x: Tensor) -> tuple[Tensor, int, int]:
        """Cut images into tokens; returns tokens (B, prefix + h * w, C), h and w."""
        model, p = self.model, self.patch_size
        h, w = -(-x.shape[-2] // p), -(-x.shape[-1] // p)
        return model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(x)))), h, w

    def classify(self, x: Tensor, need: Need, share: Share | None) -> Output:
        """Return logits and what ``need`` asks for."""
        model = self.model
        x, h, w = self.embed(x)
        carried = None
        if need.share:
            assert share is not None, "need.share asks for the share of A at the input"
            patches = share.at(h, w).flatten(1)
            carried = torch.cat((share.lam[:, None].expand(-1, self.prefix).to(patches), patches), dim=1)
        kind = self.importance_kinds[0] if need.importance == "auto" else need.importance
        read = {None: None, "cls": "cls", "mean_attn": "mean"}[kind]
        row = None
        for i, block in enumerate(model.blocks):
            row_here = read if i == self.depth - 1 else None
            if row_here is None and carried is None:
                x = self._run(block, x)
            else:
                x, row, carried = self._run(read_block, block, x, read=row_here, prefix=self.prefix, share=carried)
        x = model.norm(x)
        importance = None
        if row is not None:
            importance = (row / row.sum(dim=1, keepdim=True)).reshape(-1, h, w)
        return Output(
            logits=model.forward_head(x),
            importance=importance,
            share=self._share_of_readout(carried),
            tokens=x[:, self.prefix :].transpose(1, 2).reshape(x.shape[0], -1, h, w) if need.tokens else None,
        )

    def features(self, x: Tensor, out_indices: Sequence[int]) -> list[Tensor]:
        """Return the normalised patch tokens after the blocks ``out_indices`` as maps (B, C, h, w)."""
        x, h, w = self.embed(x)
        after: dict[int, Tensor] = {}
        for i, block in enumerate(self.model.blocks):
            x = self._run(block, x)
            if i in out_indices:
                after[i] = self.model.norm(x)[:, self.prefix :].transpose(1, 2).reshape(x.shape[0], -1, h, w)
        return [after[i] for i in out_indices]

    def _share_of_readout(self, carried: Tensor | None) -> Tensor | None:
        if carried is None:
            return None
        return carried[:, 0] if self.model.global_pool == "token" else carried[:, self.prefix :].mean(dim=1)

    def _run(self, function, *args, **kwargs):
        if self.model.grad_checkpointing and torch.is_grad_enabled():
            return checkpoint(function, *args, use_reentrant=False, **kwargs)
        return function(*args, **kwargs)
