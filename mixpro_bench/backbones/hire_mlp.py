"""Hire-MLP: perceptrons over regions of neighbouring rows or columns, shifted by block (arXiv:2108.13341)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from timm.layers import DropPath, Mlp
from torch import Tensor, nn

from mixpro_bench.backbones.pieces import drop_path_rates, pad_to
from mixpro_bench.backbones.pooled import Pooled, Stage, start
from mixpro_bench.registry import MODELS


def gather_regions(x: Tensor, region: int) -> Tensor:
    """Move ``region`` neighbouring rows into the channels: (B, C, h, w) to (B, C * region, h / region, w)."""
    return x.unflatten(2, (-1, region)).transpose(2, 3).flatten(1, 2)


def scatter_regions(x: Tensor, region: int) -> Tensor:
    """Undo `gather_regions`."""
    return x.unflatten(1, (-1, region)).transpose(2, 3).flatten(2, 3)


class RegionMix(nn.Module):
    """A perceptron on every region of neighbouring rows, over its rows and channels together.

    Args:
        dim: Channels.
        region: Rows per region; maps are continued circularly to whole regions.
        step: By how many rows the regions are shifted.
    """

    def __init__(self, dim: int, region: int, step: int) -> None:
        super().__init__()
        self.region, self.step = region, step
        self.mlp = nn.Sequential(
            nn.Conv2d(dim * region, dim // 2, 1, bias=False),
            nn.BatchNorm2d(dim // 2),
            nn.ReLU(),
            nn.Conv2d(dim // 2, dim * region, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Mix maps (B, C, h, w) along their height."""
        h = x.shape[2]
        x = x.roll(self.step, 2) if self.step else x
        x = F.pad(x, (0, 0, 0, -h % self.region), mode="circular")
        x = scatter_regions(self.mlp(gather_regions(x, self.region)), self.region)[:, :, :h]
        return x.roll(-self.step, 2) if self.step else x


class HireMix(nn.Module):
    """Regions of rows, regions of columns and single places, weighed against each other per channel.

    Args:
        dim: Channels.
        region: See `RegionMix`.
        step: See `RegionMix`.
    """

    def __init__(self, dim: int, region: int, step: int) -> None:
        super().__init__()
        self.rows = RegionMix(dim, region, step)
        self.columns = RegionMix(dim, region, step)
        self.place = nn.Conv2d(dim, dim, 1)
        self.weigh = Mlp(dim, dim // 4, 3 * dim)
        self.out = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Mix maps (B, C, h, w)."""
        ways = self.rows(x), self.columns(x.transpose(2, 3)).transpose(2, 3), self.place(x)
        pooled = (ways[0] + ways[1] + ways[2]).mean(dim=(2, 3))
        weights = self.weigh(pooled).unflatten(1, (-1, 3)).softmax(dim=2)
        return self.out(sum(way * weights[:, :, i, None, None] for i, way in enumerate(ways)))


class Block(nn.Module):
    """Mixing of places, then of channels, each added to the map.

    Args:
        dim: Channels.
        region: See `RegionMix`.
        step: See `RegionMix`.
        drop_path: Stochastic depth.
    """

    def __init__(self, dim: int, region: int, step: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(dim)
        self.mix = HireMix(dim, region, step)
        self.norm2 = nn.BatchNorm2d(dim)
        self.mlp = Mlp(dim, 4 * dim, use_conv=True)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Run on maps (B, C, h, w)."""
        x = x + self.drop_path(self.mix(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class Stem(nn.Sequential):
    """A 7 x 7 convolution of stride 4; images are padded to whole cells of the map.

    Args:
        dim: Channels.
    """

    def __init__(self, dim: int) -> None:
        super().__init__(nn.Conv2d(3, dim, 7, 4, 2), nn.BatchNorm2d(dim), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Turn images (B, 3, H, W) into maps (B, C, ceil(H / 4), ceil(W / 4))."""
        return super().forward(pad_to(x, 4))


def _sizes(dims: Sequence[int], depths: Sequence[int]) -> dict[str, object]:
    return dict(dims=dims, depths=depths, regions=(4, 3, 3, 2), shifts=(2, 2, 3, 2), dilations=(2, 2, 1, 1))


@MODELS.register_module()
class HireMLP(Pooled):
    """Hire-MLP. There is no attention; class activation maps are exact, since the norm stands before pooling.

    Args:
        variant: A name of ``variants``.
        dims: Channels per stage.
        depths: Blocks per stage.
        regions: Rows (or columns) per region of each stage.
        shifts: Block ``j`` of a stage shifts its regions by ``j`` modulo this ...
        dilations: ... times this.
        **kwargs: See `Native`.
    """

    variants = {
        "hire_mlp_tiny": _sizes((64, 128, 320, 512), (2, 2, 4, 2)),
        "hire_mlp_small": _sizes((64, 128, 320, 512), (3, 4, 10, 3)),
        "hire_mlp_base": _sizes((64, 128, 320, 512), (4, 6, 24, 3)),
        "hire_mlp_large": _sizes((96, 192, 384, 768), (4, 6, 24, 3)),
        "hire_mlp_test": {**_sizes((8, 16, 40, 64), (2, 1, 2, 1)), "img_size": 64},
    }

    def build(  # type: ignore[override]
        self,
        *,
        drop_path_rate: float,
        img_size: int,
        dims: Sequence[int],
        depths: Sequence[int],
        regions: Sequence[int],
        shifts: Sequence[int],
        dilations: Sequence[int],
    ) -> None:
        """Make the modules; see `Native.build`."""
        rates = drop_path_rates(drop_path_rate, depths)
        self.stem = Stem(dims[0])
        self.stages = nn.ModuleList()
        for i, (c, region, shift, dilation) in enumerate(zip(dims, regions, shifts, dilations, strict=True)):
            lead = None
            if i:
                lead = nn.Sequential(nn.Conv2d(dims[i - 1], c, 3, 2, 1), nn.BatchNorm2d(c), nn.ReLU())
            self.stages.append(Stage(lead, (Block(c, region, j % shift * dilation, p) for j, p in enumerate(rates[i]))))
        self.norm = nn.BatchNorm2d(dims[-1])
        self.apply(start)
        self.patch_size, self.embed_dim = 4, dims[-1]
        self.stage_channels, self.stage_strides = list(dims), [4 * 2**i for i in range(len(dims))]
