"""SReT: sliced recursive transformers, whose blocks run twice with the same weights (arXiv:2111.05297)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import DropPath, Mlp, trunc_normal_
from torch import Tensor, nn

from mixpro_bench.backbones.attention import attention_row
from mixpro_bench.backbones.contract import Share
from mixpro_bench.backbones.family import as_map
from mixpro_bench.backbones.native import Encoded, Native
from mixpro_bench.backbones.pieces import MultiHead, drop_path_rates, initialise, resize_table
from mixpro_bench.backbones.pooled import Stage
from mixpro_bench.registry import MODELS

# A prime, and a multiplier below it: squares modulo the prime are the classic source of a fixed scramble.
PRIME, MULTIPLIER = 2_147_483_647, 1_103_515_245


def sliced_attention(q: Tensor, k: Tensor, v: Tensor, slices: int) -> Tensor:
    """Run fused attention inside consecutive slices of the tokens, as equal as the number of tokens allows.

    Where it does not divide, the first slices hold one token more: nothing is padded and nothing masked.

    Args:
        q: Queries, shape (B, heads, N, d).
        k: Keys, same shape.
        v: Values, same shape.
        slices: Number of slices.

    Returns:
        Shape (B, heads, N, d).
    """
    if slices == 1:
        return F.scaled_dot_product_attention(q, k, v)
    b, n = q.shape[0], q.shape[2]
    length, longer = divmod(n, slices)
    cut = longer * (length + 1)
    parts = []
    for first, stop, size in ((0, cut, length + 1), (cut, n, length)):
        if stop > first:
            folded = (x[:, :, first:stop].unflatten(2, (-1, size)).transpose(1, 2).flatten(0, 1) for x in (q, k, v))
            out = F.scaled_dot_product_attention(*folded)
            parts.append(out.unflatten(0, (b, -1)).transpose(1, 2).flatten(2, 3))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def permutation(n: int, training: bool, device: torch.device) -> Tensor:
    """Return an order of n tokens: a random one in training, else one that is fixed by n.

    The released code draws in evaluation, too; here the same image gives the same answer.
    """
    if training:
        return torch.randperm(n, device=device)
    key = torch.arange(1, n + 1, device=device) * MULTIPLIER % PRIME
    key = key * key % PRIME
    return (key * key % PRIME).argsort(stable=True)


class SlicedAttention(MultiHead):
    """Attention within slices of the tokens.

    Args:
        dim: Channels.
        heads: Number of heads.
    """

    def forward(self, x: Tensor, slices: int, shuffle: bool, read: bool = False) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            x: Tokens in raster order, shape (B, N, C).
            slices: Number of slices.
            shuffle: Whether tokens are brought into another order before they are sliced, and back after.
            read: Whether to return how much each token is attended to by all (one slice only).

        Returns:
            Tokens of the same shape and order; the mean row (B, N) or None.
        """
        shuffle = shuffle and slices > 1
        if shuffle:
            order = permutation(x.shape[1], self.training, x.device)
            x = x[:, order]
        q, k, v = self.split(x)
        row = attention_row(q, k, q.shape[-1] ** -0.5, "mean", prefix=0) if read else None
        out = self.join(sliced_attention(q, k, v, slices))
        return (out[:, order.argsort()] if shuffle else out), row


class Projection(nn.Module):
    """What keeps two passes of the same weights apart: an MLP of its own after each (section 3.2 of the paper).

    Args:
        dim: Channels.
        ratio: Width of its hidden layer.
    """

    def __init__(self, dim: int, ratio: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(ratio * dim))
        self.keep, self.add = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, N, C) to tokens of the same shape."""
        return self.keep * x + self.add * self.mlp(self.norm(x))


class RecursiveBlock(nn.Module):
    """A transformer block that runs once for every number of slices, followed each time by a projection of its own.

    Args:
        dim: Channels.
        heads: Number of heads.
        mlp_ratio: Width of the hidden layer of the MLP.
        projection_ratio: The same of the projections.
        slices: Number of slices of each pass; tokens are shuffled from the second pass on.
        drop_path: Stochastic depth of each pass.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        mlp_ratio: float,
        projection_ratio: float,
        slices: Sequence[int],
        drop_path: Sequence[float],
    ) -> None:
        super().__init__()
        self.slices = tuple(slices)
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attn = SlicedAttention(dim, heads)
        self.mlp = Mlp(dim, int(mlp_ratio * dim))
        self.keep, self.add = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
        self.drop_paths = nn.ModuleList(DropPath(rate) for rate in drop_path)
        self.projections = nn.ModuleList(Projection(dim, projection_ratio) for _ in slices)

    def forward(self, x: Tensor, read: bool = False) -> tuple[Tensor, Tensor | None]:
        """Map tokens (B, N, C) to tokens of the same shape; ``read`` returns the last pass's mean row (B, N), too."""
        row = None
        passes = list(zip(self.slices, self.drop_paths, self.projections, strict=True))
        for i, (slices, drop_path, projection) in enumerate(passes):
            last = i == len(passes) - 1
            attended, row = self.attn(self.norm1(x), slices, shuffle=i > 0, read=read and last)
            x = self.keep[0] * x + self.add[0] * drop_path(attended)
            x = self.keep[1] * x + self.add[1] * drop_path(self.mlp(self.norm2(x)))
            x = projection(x)
        return x, row


def convolution(fan_in: int, fan_out: int) -> list[nn.Module]:
    """Return a convolution of stride 2 with its norm and activation."""
    return [nn.Conv2d(fan_in, fan_out, 3, 2, 1), nn.BatchNorm2d(fan_out), nn.ReLU()]


def _sizes(**sizes: Any) -> dict[str, Any]:
    return dict(blocks=(2, 5, 3), slices=((8, 2), (4, 1), (1, 1))) | sizes


@MODELS.register_module()
class SReT(Native):
    """Sliced recursive transformer: three stages of strides 8, 16 and 32.

    Importance is the mean row of the last block, which attends to all tokens at any image size. There is no map of
    stride 4: the pyramid makes that level out of the first stage.
    """

    variants = {
        "sret_tiny": _sizes(dim=64, heads=(2, 4, 8), mlp_ratio=3.6, projection_ratio=1.0),
        "sret_small": _sizes(dim=126, heads=(3, 6, 12), mlp_ratio=3.0, projection_ratio=2.0),
        "sret_test": _sizes(
            dim=16, heads=(1, 2, 4), blocks=(1, 1, 1), mlp_ratio=3.6, projection_ratio=1.0, img_size=64
        ),
    }
    readout = ("norm",)
    importance_kinds = ("mean_attn", "cam")
    smallest = 8

    def build(  # type: ignore[override]
        self,
        *,
        drop_path_rate: float,
        img_size: int,
        dim: int,
        heads: Sequence[int],
        blocks: Sequence[int],
        mlp_ratio: float,
        projection_ratio: float,
        slices: Sequence[Sequence[int]],
    ) -> None:
        """Make the modules.

        Args:
            drop_path_rate: Stochastic depth of the last pass of the last block.
            img_size: Side of the images that positions are learned for.
            dim: Channels of the first stage.
            heads: Heads per stage.
            blocks: Blocks per stage, each with weights of its own.
            mlp_ratio: Width of the hidden layers of the MLPs.
            projection_ratio: The same of the projections.
            slices: For each stage, the number of slices in each pass of a block.
        """
        self.patch_size = 8
        self.stage_channels = [dim, 2 * dim, 4 * dim]
        self.stage_strides = [8, 16, 32]
        self.embed_dim = 4 * dim
        self.stem = nn.Sequential(*convolution(3, dim // 2), *convolution(dim // 2, dim), *convolution(dim, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, dim, -(-img_size // 8), -(-img_size // 8)))
        trunc_normal_(self.pos_embed, std=0.02)
        passes = [len(each) for each in slices]
        rates = drop_path_rates(drop_path_rate, [n * p for n, p in zip(blocks, passes, strict=True)])
        self.stages = nn.ModuleList()
        for i, c in enumerate(self.stage_channels):
            lead = nn.Conv2d(c // 2, c, 3, 2, 1, groups=c // 2) if i else None
            n = passes[i]
            chunks = (rates[i][first : first + n] for first in range(0, n * blocks[i], n))
            made = [RecursiveBlock(c, heads[i], mlp_ratio, projection_ratio, slices[i], chunk) for chunk in chunks]
            self.stages.append(Stage(lead, made))
        self.norm = nn.LayerNorm(self.embed_dim, eps=1e-6)
        initialise(self.stages)

    def encode(self, x: Tensor, *, kind: str | None = None, share: Share | None = None) -> Encoded:
        """Run the system; see `Native.encode`."""
        x = self.stem(x)
        x = x + resize_table(self.pos_embed, (x.shape[2], x.shape[3]))
        last = self.stages[-1].blocks[-1]
        maps, row = [], None
        for stage in self.stages:
            x = stage.downsample(x)
            size = (x.shape[2], x.shape[3])
            x = x.flatten(2).transpose(1, 2)
            for block in stage.blocks:
                x, row = self.run(block, x, kind is not None and block is last)
            x = as_map(x, *size)
            maps.append(x)
        readout = None if self.dense else self.norm(x.mean(dim=(2, 3)))
        return Encoded(maps, x, readout, None if row is None else row.unflatten(1, size))

    def head_weight(self) -> Tensor:
        """Return the classifier's rows, shape (K, C), as they act on the tokens before the norm behind the pooling.

        That norm takes away the mean over channels and multiplies by its gain; so do these rows. What is left out is
        the norm's division, a positive factor per image: class activation maps are exact but for that.
        """
        rows = self.head.weight * self.norm.weight
        return rows - rows.mean(dim=1, keepdim=True)
