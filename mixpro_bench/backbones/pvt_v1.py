"""PVT: four stages of patches, attention to keys reduced in the first three, a class token in the last.

Source: Wang et al., Pyramid Vision Transformer, arXiv:2102.12122, section 3 and table 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.layers import DropPath, LayerNorm, LayerNorm2d, Mlp, trunc_normal_
from torch import Tensor, nn

from mixpro_bench.backbones.attention import Read, attention_row, carry
from mixpro_bench.backbones.contract import Share
from mixpro_bench.backbones.family import as_map, input_share
from mixpro_bench.backbones.native import Encoded, Native
from mixpro_bench.backbones.pieces import (
    drop_path_rates,
    initialise,
    join_heads,
    pad_to,
    resize_table,
    split_heads,
)
from mixpro_bench.backbones.pooled import Stage
from mixpro_bench.backbones.swin import merge
from mixpro_bench.backbones.vit import READ
from mixpro_bench.registry import MODELS


class PatchEmbedding(nn.Module):
    """Square patches of a map become cells of the next, with a learned position.

    Args:
        before: Channels of the map.
        dim: Channels of the tokens.
        patch: Cells per side of a patch.
        grid: Patches per side that positions are made for.
    """

    def __init__(self, before: int, dim: int, patch: int, grid: int) -> None:
        super().__init__()
        self.patch = patch
        self.proj = nn.Conv2d(before, dim, patch, patch)
        self.norm = LayerNorm2d(dim)
        self.position = nn.Parameter(torch.zeros(1, dim, grid, grid))
        trunc_normal_(self.position, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Return the next map, shape (B, C, h, w); the last one is padded to whole patches."""
        x = self.norm(self.proj(pad_to(x, self.patch)))
        return x + resize_table(self.position, (x.shape[2], x.shape[3]))


class Block(nn.Module):
    """Attention to reduced keys, then an MLP.

    Args:
        dim: Channels.
        heads: Number of heads.
        mlp_ratio: Hidden channels of the MLP, in units of ``dim``.
        reduction: Tokens per side that one key stands for.
        drop_path: Stochastic depth.
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: int, reduction: int, drop_path: float) -> None:
        super().__init__()
        self.heads = heads
        self.reduction = reduction
        self.norm1, self.norm2 = LayerNorm(dim), LayerNorm(dim)
        self.q, self.kv, self.proj = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        if reduction > 1:
            self.reduce = nn.Conv2d(dim, dim, reduction, reduction)
            self.reduced_norm = LayerNorm(dim)
        self.mlp = Mlp(dim, mlp_ratio * dim)
        self.drop_path = DropPath(drop_path)

    def forward(
        self, x: Tensor, size: tuple[int, int], read: Read | None = None, share: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Run the block, and read from its attention.

        Args:
            x: Tokens, shape (B, N, C); the class token first where there is one, and then no reduction.
            size: Rows and columns of the patch tokens.
            read: Whose row of the attention matrix to return, if any.
            share: Share of A per token, shape (B, N), or None.

        Returns:
            Tokens; the row (B, patch tokens) or None; the share (B, N) or None, one half of which stands for the
            residual branch.
        """
        keys, key_share = self.norm1(x), share
        q = split_heads(self.q(keys), self.heads)
        if self.reduction > 1:
            # Padded to whole patches: a key of the border stands for fewer tokens, but for all that are there.
            keys = self.reduce(pad_to(as_map(keys, *size), self.reduction))
            keys = self.reduced_norm(keys.flatten(2).transpose(1, 2))
            if share is not None:
                whole = share.unflatten(1, size)[:, None]
                key_share = F.avg_pool2d(whole, self.reduction, ceil_mode=True).flatten(1)
        k, v = (split_heads(part, self.heads) for part in self.kv(keys).chunk(2, dim=-1))
        scale = q.shape[-1] ** -0.5
        row = attention_row(q, k, scale, read, x.shape[1] - size[0] * size[1]) if read else None
        if key_share is None:
            out, mixed = F.scaled_dot_product_attention(q, k, v), None
        else:
            out, mixed = carry(q, k, v, key_share, scale=scale)
        x = x + self.drop_path(self.proj(join_heads(out)))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x, row, None if mixed is None else (mixed + share) / 2


# Channels, heads and reductions are the same for all published variants.
COMMON = dict(dims=(64, 128, 320, 512), heads=(1, 2, 5, 8), reductions=(8, 4, 2, 1))


@MODELS.register_module()
class PVT(Native):
    """PVT of the first version; see `Native`.

    Importance is the class token's row in the last block; ``"mean_attn"``, the mean row of the patch tokens there, is
    what SMMix reads from PVT (ChenMnZ/SMMix). Positions are resized for images of another size, maps are padded to
    whole patches. Between stages the share is averaged over the tokens that a patch joins.
    """

    variants = {
        "pvt_tiny": dict(depths=(2, 2, 2, 2), **COMMON),
        "pvt_small": dict(depths=(3, 4, 6, 3), **COMMON),
        "pvt_medium": dict(depths=(3, 4, 18, 3), **COMMON),
        "pvt_large": dict(depths=(3, 8, 27, 3), **COMMON),
        "pvt_test": dict(
            depths=(1, 1, 1, 2), dims=(16, 24, 32, 48), heads=(1, 1, 2, 3), reductions=(8, 4, 2, 1), img_size=64
        ),
    }
    # The class token stays in dense use: the patch tokens of the last stage attend to it.
    readout = ("norm",)
    importance_kinds = ("cls", "mean_attn")
    gives_share = True
    smallest = 4

    def build(  # type: ignore[override]
        self,
        *,
        drop_path_rate: float,
        img_size: int,
        depths: Sequence[int],
        dims: Sequence[int],
        heads: Sequence[int],
        reductions: Sequence[int],
    ) -> None:
        """Make the modules.

        Args:
            drop_path_rate: Stochastic depth of the last block.
            img_size: Side of the images that positions are made for.
            depths: Blocks per stage.
            dims: Channels per stage.
            heads: Number of heads per stage.
            reductions: Tokens per side that one key stands for, per stage.
        """
        self.patch_size = 4
        self.stage_channels, self.stage_strides = list(dims), [4, 8, 16, 32]
        self.embed_dim = dims[-1]
        embeddings = [
            PatchEmbedding(dims[i - 1] if i else 3, dims[i], 2 if i else 4, -(-img_size // (4 * 2**i)))
            for i in range(len(dims))
        ]
        self.stem = embeddings[0]
        self.stages = nn.ModuleList(
            Stage(
                embeddings[i] if i else None,
                (Block(dims[i], heads[i], 8 if i < 2 else 4, reductions[i], rate) for rate in rates),
            )
            for i, rates in enumerate(drop_path_rates(drop_path_rate, depths))
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.embed_dim))
        self.cls_position = nn.Parameter(torch.zeros(1, 1, self.embed_dim))
        self.norm = LayerNorm(self.embed_dim)
        trunc_normal_(self.cls_token, std=0.02)
        trunc_normal_(self.cls_position, std=0.02)
        initialise(self.stages)

    def encode(self, x: Tensor, *, kind: str | None = None, share: Share | None = None) -> Encoded:
        """Run the system; see `Native.encode`."""
        x = self.stem(x)
        carried = None if share is None else input_share(share, *x.shape[2:])
        maps = []
        row = None
        for i, stage in enumerate(self.stages):
            last = i == len(self.stages) - 1
            x = stage.downsample(x)
            size = (x.shape[2], x.shape[3])
            x = x.flatten(2).transpose(1, 2)
            if last:
                x = torch.cat(((self.cls_token + self.cls_position).expand(len(x), -1, -1), x), dim=1)
            if share is not None and carried is not None:
                carried = (merge(carried) if i else carried).flatten(1)
                if last:
                    carried = torch.cat((share.lam[:, None].to(carried), carried), dim=1)
            for block in stage.blocks:
                read = READ.get(kind) if last and block is stage.blocks[-1] else None
                x, row, carried = self.run(block, x, size, read, carried)
            maps.append(as_map(x[:, 1:] if last else x, *size))
            if not last:
                x = maps[-1]
                carried = None if carried is None else carried.unflatten(1, size)
        if self.dense:
            return Encoded(maps, maps[-1])
        x = self.norm(x)
        weights = None if row is None else row.unflatten(1, size)
        at_readout = None if carried is None else carried[:, 0]
        return Encoded(maps, as_map(x[:, 1:], *size), x[:, 0], weights, at_readout)
