"""FCViT: convolutions and a global context that every place takes in the share of its likeness to the whole.

What attention maps of a vision transformer have in common over all queries is learned directly, as one map per head
(arXiv:2206.04647).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn

from mixpro_bench.backbones.contract import Share
from mixpro_bench.backbones.native import Encoded
from mixpro_bench.backbones.pieces import drop_path_rates
from mixpro_bench.backbones.pooled import Pooled, Stage
from mixpro_bench.registry import MODELS

HEADS = 8


def similarity(x: Tensor, whole: Tensor) -> Tensor:
    """Return how alike every place and the mean of all places are, standardised over heads and places together.

    Args:
        x: Maps in heads, shape (B, heads, d, N).
        whole: Their mean over places, shape (B, heads, d).

    Returns:
        float32, shape (B, heads, N), mean 0 and variance 1 per image.
    """
    products = torch.einsum("bhdn,bhd->bhn", x, whole).float() * x.shape[2] ** -0.5
    return F.layer_norm(products, products.shape[1:], eps=1e-5)


class GlobalContext(nn.Module):
    """A vector per image, handed to every place in the share of its likeness to the whole.

    Args:
        dim: Channels.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(HEADS, 1))
        self.shift = nn.Parameter(torch.zeros(HEADS, 1))
        self.reduce = nn.Linear(dim, dim // 4)
        self.expand = nn.Linear(dim // 8, dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the context of maps (B, C, h, w), of the same shape, and the shares, shape (B, heads, h, w)."""
        size = x.shape[-2:]
        x = x.flatten(2).unflatten(1, (HEADS, -1))
        whole = x.mean(dim=3)
        shares = similarity(x, whole) * self.scale + self.shift
        # Of every two numbers the larger one goes on, in place of an activation.
        context = self.expand(self.reduce(whole.flatten(1)).unflatten(1, (2, -1)).amax(dim=1))
        out = shares.to(context.dtype)[:, :, None] * context.unflatten(1, (HEADS, -1))[..., None]
        return out.flatten(1, 2).unflatten(2, size), shares.unflatten(2, size)


class Round(nn.Module):
    """Global context, then 11 x 11 neighbours and a narrow perceptron.

    Args:
        dim: Channels.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        narrow = max(dim // 8, 16)
        self.context = GlobalContext(dim)
        self.near = nn.Conv2d(dim, dim, 11, padding=5, groups=dim)
        self.mlp = nn.Sequential(nn.Conv2d(dim, narrow, 1), nn.GELU(), nn.Conv2d(narrow, dim, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mix maps (B, C, h, w); the second result is that of `GlobalContext`."""
        context, shares = self.context(x)
        return F.gelu(self.mlp(self.near(x + context))), shares


class Block(nn.Module):
    """Two rounds of mixing places, then mixing of channels, each scaled per channel and added to the map.

    Args:
        dim: Channels.
        ratio: Width of the channel mixing, in multiples of ``dim``.
        drop_path: Stochastic depth.
    """

    def __init__(self, dim: int, ratio: int, drop_path: float) -> None:
        super().__init__()
        wide = ratio * dim
        self.norm1 = nn.GroupNorm(1, dim)
        self.first, self.second = Round(dim), Round(dim)
        self.scale1 = nn.Parameter(torch.full((dim, 1, 1), 1e-5))
        self.norm2 = nn.GroupNorm(1, dim)
        self.mlp = nn.Sequential(
            nn.Conv2d(dim, wide, 1),
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide),
            nn.GELU(),
            nn.Conv2d(wide, dim, 1),
        )
        self.scale2 = nn.Parameter(torch.full((dim, 1, 1), 1e-5))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run on maps (B, C, h, w).

        Returns:
            The map; the mean over heads of the last round's shares, float32 and detached, shape (B, h, w).
        """
        mixed, _ = self.first(self.norm1(x))
        mixed, shares = self.second(mixed)
        x = x + self.drop_path(self.scale1 * mixed)
        return x + self.drop_path(self.scale2 * self.mlp(self.norm2(x))), shares.detach().mean(dim=1)


@MODELS.register_module()
class FCViT(Pooled):
    """FCViT.

    ``mean_attn`` is the softmax over all places of the last global context's shares, averaged over heads: the one row
    of attention that all queries have in common. Class activation maps are exact, since the norm stands before
    pooling.

    Args:
        variant: A name of ``variants``.
        dims: Channels per stage.
        depths: Blocks per stage.
        ratios: Width of the channel mixing of each stage.
        **kwargs: See `Native`.
    """

    importance_kinds = ("mean_attn", "cam")
    variants = {
        "fcvit_tiny": dict(dims=(32, 64, 160, 320), depths=(3, 3, 5, 2), ratios=(8, 8, 4, 4)),
        "fcvit_b12": dict(dims=(64, 128, 320, 512), depths=(2, 2, 6, 2), ratios=(8, 8, 4, 4)),
        "fcvit_test": dict(dims=(8, 16, 24, 40), depths=(1, 1, 2, 1), ratios=(8, 8, 4, 4), img_size=64),
    }

    def build(  # type: ignore[override]
        self,
        *,
        drop_path_rate: float,
        img_size: int,
        dims: Sequence[int],
        depths: Sequence[int],
        ratios: Sequence[int],
    ) -> None:
        """Make the modules; see `Native.build`."""
        rates = drop_path_rates(drop_path_rate, depths)
        self.stem = nn.Sequential(nn.Conv2d(3, dims[0], 7, 4, 3), nn.BatchNorm2d(dims[0]))
        self.stages = nn.ModuleList()
        for i, (c, ratio, rate) in enumerate(zip(dims, ratios, rates, strict=True)):
            lead = nn.Sequential(nn.Conv2d(dims[i - 1], c, 3, 2, 1), nn.BatchNorm2d(c)) if i else None
            self.stages.append(Stage(lead, (Block(c, ratio, p) for p in rate)))
        self.norm = nn.GroupNorm(1, dims[-1])
        self.patch_size, self.embed_dim = 4, dims[-1]
        self.stage_channels, self.stage_strides = list(dims), [4 * 2**i for i in range(len(dims))]

    def encode(self, x: Tensor, *, kind: str | None = None, share: Share | None = None) -> Encoded:
        """Run the system; see `Native.encode`."""
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage.downsample(x)
            for block in stage.blocks:
                x, shares = self.run(block, x)
            maps.append(x)
        if self.dense:
            return Encoded(maps, x)
        tokens, readout = self.pool(x)
        weights = shares.flatten(1).softmax(dim=1).view_as(shares) if kind else None
        return Encoded(maps, tokens, readout, weights)
