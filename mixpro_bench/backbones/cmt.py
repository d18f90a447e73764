"""CMT: convolutions inside transformer blocks, keys and values reduced, a learned table of positions per stage.

Guo et al., arXiv:2107.06263. The table holds a number for every pair of query and key, so it knows one image size; for
others it is resampled, and where the result is large it is never there as a whole: queries attend in strips of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import DropPath, LayerNorm2d
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mixpro_bench.backbones.attention import attention_row
from mixpro_bench.backbones.contract import Share
from mixpro_bench.backbones.family import as_map
from mixpro_bench.backbones.native import Encoded, Native
from mixpro_bench.backbones.pieces import (
    PatchConv,
    drop_path_rates,
    initialise,
    join_heads,
    pad_to,
    resize_table,
    split_heads,
)
from mixpro_bench.backbones.pooled import Stage
from mixpro_bench.registry import MODELS

# How many numbers of a resampled table are held at once: 64 MiB in float32.
LIMIT = 2**24


def resampling(old: int, new: int, device: torch.device) -> Tensor:
    """Return the matrix (new, old) of bicubic resampling along one axis, as ``F.interpolate`` does it."""
    unit = torch.eye(old, device=device)[None, None]
    return F.interpolate(unit, size=(new, old), mode="bicubic", align_corners=False)[0, 0]


class Position(nn.Module):
    """One learned number per head, query and key.

    Args:
        heads: Number of heads.
        grid: Side of the map of queries it is built for.
        keys: Side of the map of keys.
    """

    def __init__(self, heads: int, grid: int, keys: int) -> None:
        super().__init__()
        self.keys = (keys, keys)
        self.table = nn.Parameter(torch.randn(heads, grid, grid, keys**2))

    def at(self, grid: tuple[int, int], keys: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
        """Return the table for maps of other sizes.

        Args:
            grid: Rows h and columns w of the queries.
            keys: Rows and columns of the keys, K in all.

        Returns:
            The table, shape (heads, h, w, K), and None; or, where it would pass `LIMIT`, a table of the rows it is
            built for, shape (heads, h0, w, K), and the matrix (h, h0) that takes it to h rows.
        """
        table: Tensor = self.table
        if keys != self.keys:
            table = resize_table(table.unflatten(3, self.keys), keys).flatten(3)
        heads, h, w, k = table.shape
        if w != grid[1]:
            table = torch.einsum("nw,ehwk->ehnk", resampling(w, grid[1], table.device), table)
        if h == grid[0]:
            return table, None
        matrix = resampling(h, grid[0], table.device)
        if heads * grid[0] * grid[1] * k <= LIMIT:
            return rows_of(table, matrix), None
        return table, matrix


def rows_of(table: Tensor, matrix: Tensor) -> Tensor:
    """Apply a matrix (n, h) to the rows of a table (heads, h, w, K)."""
    return torch.einsum("nh,ehwk->enwk", matrix, table)


def attend_in_strips(q: Tensor, k: Tensor, v: Tensor, table: Tensor, matrix: Tensor | None) -> Tensor:
    """Run fused attention with a table of positions, with few rows of queries at a time where the table is large.

    Args:
        q: Queries, shape (B, heads, h * w, d).
        k: Keys, shape (B, heads, K, d).
        v: Values, same shape.
        table: First part of what `Position.at` returns.
        matrix: Second part.

    Returns:
        Shape (B, heads, h * w, d).
    """
    if matrix is None:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=table.flatten(1, 2).to(q.dtype))
    heads, _, w, keys = table.shape
    rows = max(1, LIMIT // (heads * w * keys))

    def strip(queries: Tensor, k: Tensor, v: Tensor, table: Tensor, part: Tensor) -> Tensor:
        bias = rows_of(table, part).flatten(1, 2).to(queries.dtype)
        return F.scaled_dot_product_attention(queries, k, v, attn_mask=bias)

    out = []
    for queries, part in zip(q.split(rows * w, dim=2), matrix.split(rows), strict=True):
        if torch.is_grad_enabled():
            out.append(checkpoint(strip, queries, k, v, table, part, use_reentrant=False))
        else:
            out.append(strip(queries, k, v, table, part))
    return torch.cat(out, dim=2)


class ReducedAttention(nn.Module):
    """Attention to keys and values of a map reduced by a depth-wise convolution.

    Args:
        dim: Channels.
        heads: Number of heads.
        reduction: Side of the patches that become one key.
    """

    def __init__(self, dim: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads, self.reduction = heads, reduction
        self.q, self.k, self.v, self.proj = (nn.Linear(dim, dim) for _ in range(4))
        self.reduce = nn.Identity()
        if reduction > 1:
            self.reduce = nn.Sequential(nn.Conv2d(dim, dim, reduction, reduction, groups=dim), nn.BatchNorm2d(dim))

    def forward(
        self, x: Tensor, table: Tensor, matrix: Tensor | None, read: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            x: Map, shape (B, C, h, w); it is padded to whole patches for the keys.
            table: First part of what `Position.at` returns.
            matrix: Second part.
            read: Whether to return how much each key is attended to on average; without reduction only.

        Returns:
            A map of the same shape; the mean row (B, h * w) or None.
        """
        size = (x.shape[2], x.shape[3])
        reduced = self.reduce(pad_to(x, self.reduction)).flatten(2).transpose(1, 2)
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = (split_heads(y, self.heads) for y in (self.q(tokens), self.k(reduced), self.v(reduced)))
        row = None
        if read:
            whole = (table if matrix is None else rows_of(table, matrix)).flatten(1, 2)
            row = attention_row(q, k, q.shape[-1] ** -0.5, "mean", prefix=0, bias=whole)
        return as_map(self.proj(join_heads(attend_in_strips(q, k, v, table, matrix))), *size), row


class ConvMlp(nn.Module):
    """An MLP with a depth-wise convolution and its own shortcut in the hidden layer, all norms of the batch.

    Args:
        dim: Channels.
        hidden: Channels of the hidden layer.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(dim, hidden, 1), nn.GELU(), nn.BatchNorm2d(hidden))
        self.local = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.middle = nn.Sequential(nn.GELU(), nn.BatchNorm2d(hidden))
        self.leave = nn.Sequential(nn.Conv2d(hidden, dim, 1), nn.BatchNorm2d(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map a map (B, C, h, w) to one of the same shape."""
        x = self.enter(x)
        return self.leave(self.middle(x + self.local(x)))


class CMTBlock(nn.Module):
    """A depth-wise convolution, attention to reduced keys, an MLP with a convolution inside; each with a shortcut.

    Args:
        dim: Channels.
        heads: Number of heads.
        reduction: Side of the patches that become one key.
        ratio: Width of the hidden layer of the MLP.
        drop_path: Stochastic depth.
    """

    def __init__(self, dim: int, heads: int, reduction: int, ratio: float, drop_path: float) -> None:
        super().__init__()
        self.local = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.norm1, self.norm2 = LayerNorm2d(dim), LayerNorm2d(dim)
        self.attn = ReducedAttention(dim, heads, reduction)
        self.mlp = ConvMlp(dim, int(ratio * dim))
        self.drop_path = DropPath(drop_path)

    def forward(
        self, x: Tensor, table: Tensor, matrix: Tensor | None, read: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Map a map (B, C, h, w) to one of the same shape; see `ReducedAttention.forward` for the rest."""
        x = x + self.local(x)
        attended, row = self.attn(self.norm1(x), table, matrix, read)
        x = x + self.drop_path(attended)
        return x + self.drop_path(self.mlp(self.norm2(x))), row


class CMTStage(Stage):
    """A stage whose blocks share one table of positions."""

    def __init__(self, downsample: nn.Module, blocks: Sequence[CMTBlock], heads: int, grid: int) -> None:
        super().__init__(downsample, blocks)
        self.reduction = blocks[0].attn.reduction
        self.position = Position(heads, grid, -(-grid // self.reduction))


def _sizes(dims: Sequence[int], depths: Sequence[int], ratio: float, stem: int, **more: Any) -> dict[str, Any]:
    return dict(
        dims=dims, depths=depths, heads=(1, 2, 4, 8), reductions=(8, 4, 2, 1), ratio=ratio, stem=stem, width=1280
    ) | dict(more)


@MODELS.register_module()
class CMT(Native):
    """CMT: four stages of strides 4 to 32, the classifier on the mean over a widened last map.

    Importance is the mean row of the last block, which reduces no keys. The variants are built for the image size they
    were published with; ``img_size`` builds the tables for another.
    """

    variants = {
        "cmt_ti": _sizes((46, 92, 184, 368), (2, 2, 10, 2), 3.6, 16, img_size=160),
        "cmt_xs": _sizes((52, 104, 208, 416), (3, 3, 12, 3), 3.77, 16, img_size=192),
        "cmt_s": _sizes((64, 128, 256, 512), (3, 3, 16, 3), 4.0, 32),
        "cmt_test": _sizes((8, 16, 24, 32), (1, 1, 1, 1), 3.6, 8, heads=(1, 2, 2, 4), width=48, img_size=64),
    }
    readout = ("widen",)
    importance_kinds = ("mean_attn", "cam")

    def build(  # type: ignore[override]
        self,
        *,
        drop_path_rate: float,
        img_size: int,
        dims: Sequence[int],
        depths: Sequence[int],
        heads: Sequence[int],
        reductions: Sequence[int],
        ratio: float,
        stem: int,
        width: int,
    ) -> None:
        """Make the modules.

        Args:
            drop_path_rate: Stochastic depth of the last block.
            img_size: Side of the images that positions are learned for.
            dims: Channels per stage.
            depths: Blocks per stage.
            heads: Heads per stage.
            reductions: For each stage, the side of the patches that become one key.
            ratio: Width of the hidden layers.
            stem: Channels of the stem.
            width: Channels that are averaged for the classifier.
        """
        self.patch_size = 4
        self.stage_channels = list(dims)
        self.stage_strides = [4 * 2**i for i in range(len(dims))]
        self.embed_dim = width
        steps = [(3, 2), (stem, 1), (stem, 1)]
        layers = [[nn.Conv2d(c, stem, 3, s, 1), nn.GELU(), nn.BatchNorm2d(stem)] for c, s in steps]
        self.stem = nn.Sequential(*(layer for step in layers for layer in step))
        rates = drop_path_rates(drop_path_rate, depths)
        self.stages = nn.ModuleList()
        for i, c in enumerate(dims):
            lead = nn.Sequential(PatchConv(dims[i - 1] if i else stem, c, 2), LayerNorm2d(c))
            blocks = [CMTBlock(c, heads[i], reductions[i], ratio, rate) for rate in rates[i]]
            self.stages.append(CMTStage(lead, blocks, heads[i], -(-img_size // self.stage_strides[i])))
        self.widen = nn.Sequential(nn.Conv2d(dims[-1], width, 1), nn.BatchNorm2d(width), nn.SiLU())
        self.dropout = nn.Dropout(0.1)
        initialise(self.stages)

    def encode(self, x: Tensor, *, kind: str | None = None, share: Share | None = None) -> Encoded:
        """Run the system; see `Native.encode`."""
        x = self.stem(x)
        last = self.stages[-1].blocks[-1]
        maps, row = [], None
        for stage in self.stages:
            x = stage.downsample(x)
            size = (x.shape[2], x.shape[3])
            keys = (-(-size[0] // stage.reduction), -(-size[1] // stage.reduction))
            table, matrix = stage.position.at(size, keys)
            for block in stage.blocks:
                x, row = self.run(block, x, table, matrix, kind is not None and block is last)
            maps.append(x)
        if self.dense:
            return Encoded(maps, x)
        tokens = self.widen(x)
        readout = self.dropout(tokens.mean(dim=(2, 3)))
        return Encoded(maps, tokens, readout, None if row is None else row.unflatten(1, size))
