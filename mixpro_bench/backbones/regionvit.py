"""RegionViT: region tokens attend to each other, then each to the local tokens of its window (arXiv:2106.02689)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import DropPath, LayerNorm2d, Mlp
from torch import Tensor, nn

from mixpro_bench.backbones.contract import Share
from mixpro_bench.backbones.native import Encoded, Native
from mixpro_bench.backbones.pieces import (
    MultiHead,
    RelativeBias,
    attend_windows,
    drop_path_rates,
    first_row,
    initialise,
    pad_to,
    partition,
    unpartition,
)
from mixpro_bench.backbones.pooled import Stage
from mixpro_bench.registry import MODELS


class RegionToLocal(nn.Module):
    """Regional attention, local attention with the same weights, and an MLP (section 3.2 of the paper).

    Args:
        dim: Channels.
        heads: Number of heads.
        window: Side of the windows of local tokens.
        drop_path: Stochastic depth.
    """

    def __init__(self, dim: int, heads: int, window: int, drop_path: float) -> None:
        super().__init__()
        self.norm0, self.norm1, self.norm2 = (nn.LayerNorm(dim, eps=1e-6) for _ in range(3))
        # One set of weights for regions among themselves and for every region with its window.
        self.attn = MultiHead(dim, heads)
        self.bias = RelativeBias(window, heads)
        self.mlp = Mlp(dim, 4 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(
        self, regions: Tensor, local: Tensor, mask: Tensor | None, read: bool = False
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Run on one region token per window and the window's local tokens.

        Args:
            regions: Shape (B, windows, C).
            local: Shape (B, windows, N, C).
            mask: Which tokens of a window are real, its region token first, bool, shape (windows, 1 + N).
            read: Whether to return how much each local token is attended to by its region.

        Returns:
            Regions and local tokens of the same shapes; the rows (B, windows, N) or None.
        """
        attended = F.scaled_dot_product_attention(*self.attn.split(self.norm0(regions)))
        regions = regions + self.drop_path(self.attn.join(attended))
        x = torch.cat((regions[:, :, None], local), dim=2)
        q, k, v = self.attn.split(self.norm1(x))
        row = first_row(q, k, mask) if read else None
        # Positions tell local tokens apart; the region token has none.
        bias = F.pad(self.bias(), (1, 0, 1, 0))
        x = x + self.drop_path(self.attn.join(attend_windows(q, k, v, bias=bias, mask=mask)))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x[:, :, 0], x[:, :, 1:], row


class Stem(nn.Module):
    """Local tokens of stride 4 from three convolutions, region tokens from one.

    Args:
        dim: Channels of both.
        region: Pixels per side of a region.
    """

    def __init__(self, dim: int, region: int) -> None:
        super().__init__()
        self.local = nn.Sequential(
            nn.Conv2d(3, dim // 4, 3, 2, 1),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.Conv2d(dim // 4, dim // 2, 3, 2, 1),
            LayerNorm2d(dim // 2),
            nn.GELU(),
            nn.Conv2d(dim // 2, dim, 3, 1, 1),
        )
        self.region = region
        self.regions = nn.Conv2d(3, dim, region, region)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Turn images into a map of regions and a map of local tokens; the last regions may hang over the image."""
        return self.regions(pad_to(x, self.region)), self.local(x)


def merging(dim: int) -> nn.Sequential:
    """Return what leads from one stage to the next, the same for both kinds of tokens: half the side, 2 x channels."""
    return nn.Sequential(LayerNorm2d(dim), nn.GELU(), nn.Conv2d(dim, 2 * dim, 3, 2, 1, groups=dim))


def _sizes(dim: int, heads: int, **more: Any) -> dict[str, Any]:
    return dict(dim=dim, heads=heads, depths=(2, 2, 8, 2), window=7) | more


@MODELS.register_module()
class RegionViT(Native):
    """RegionViT: four stages of strides 4 to 32, the classifier on the mean of the region tokens.

    Importance is the row of each window's region token in the last block. At the size it is built for, the last stage
    is one window, so that token is the readout; on larger images the windows' rows stand side by side. Windows at the
    border are filled up with masked keys.
    """

    variants = {
        "regionvit_tiny": _sizes(64, 2),
        "regionvit_small": _sizes(96, 3),
        "regionvit_test": _sizes(16, 1, depths=(1, 1, 1, 2), window=2, img_size=64),
    }
    readout = ("norm",)
    importance_kinds = ("class_attn",)

    def build(  # type: ignore[override]
        self, *, drop_path_rate: float, img_size: int, dim: int, heads: int, depths: Sequence[int], window: int
    ) -> None:
        """Make the modules.

        Args:
            drop_path_rate: Stochastic depth of the last block.
            img_size: Unused: nothing depends on it.
            dim: Channels of the first stage; they double from stage to stage.
            heads: Heads of the first stage; they double, too.
            depths: Blocks per stage.
            window: Side of the windows of local tokens.
        """
        self.patch_size = 4
        self.window = window
        self.stage_channels = [dim * 2**i for i in range(len(depths))]
        self.stage_strides = [4 * 2**i for i in range(len(depths))]
        self.embed_dim = self.stage_channels[-1]
        self.stem = Stem(dim, 4 * window)
        self.stages = nn.ModuleList(
            Stage(
                merging(channels // 2) if i else None,
                (RegionToLocal(channels, heads * 2**i, window, rate) for rate in rates),
            )
            for i, (channels, rates) in enumerate(
                zip(self.stage_channels, drop_path_rates(drop_path_rate, depths), strict=True)
            )
        )
        self.norm = nn.LayerNorm(self.embed_dim, eps=1e-6)
        initialise(self.stages)

    def encode(self, x: Tensor, *, kind: str | None = None, share: Share | None = None) -> Encoded:
        """Run the system; see `Native.encode`."""
        regions, x = self.stem(x)
        last = self.stages[-1].blocks[-1]
        maps, row = [], None
        for stage in self.stages:
            regions, x = stage.downsample(regions), stage.downsample(x)
            size, grid = (x.shape[2], x.shape[3]), (regions.shape[2], regions.shape[3])
            local, mask = partition(x.permute(0, 2, 3, 1), self.window)
            mask = None if mask is None else F.pad(mask, (1, 0), value=True)
            regions = regions.flatten(2).transpose(1, 2)
            for block in stage.blocks:
                regions, local, row = self.run(block, regions, local, mask, kind is not None and block is last)
            x = unpartition(local, self.window, size).permute(0, 3, 1, 2)
            regions = regions.transpose(1, 2).unflatten(2, grid)
            maps.append(x)
        if self.dense:
            return Encoded(maps, x)
        tokens = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        readout = self.norm(regions.flatten(2).transpose(1, 2)).mean(dim=1)
        if row is not None:
            row = unpartition(row[..., None], self.window, size)[..., 0]
        return Encoded(maps, tokens, readout, row)
