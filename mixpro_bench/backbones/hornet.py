"""HorNet: recursive gated convolutions, which multiply features of ever more channels (arXiv:2207.14284)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.layers import DropPath, LayerNorm2d, Mlp
from torch import Tensor, nn

from mixpro_bench.backbones.pieces import PatchConv, drop_path_rates
from mixpro_bench.backbones.pooled import Pooled, Stage, start
from mixpro_bench.registry import MODELS

# Keeps the products of many factors in range (section 3.1 of the paper).
SCALE = 1 / 3


def resize_spectrum(weight: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample a filter of one grid's frequencies to those of another.

    The lowest frequency of either axis stays the lowest and the last stays the last.

    Args:
        weight: Real and imaginary parts, shape (C, h, w, 2), with ``w`` the frequencies of a real transform.
        size: Rows and columns of the new spectrum.

    Returns:
        float32, shape (C, *size, 2).
    """
    weight = weight.float()
    if weight.shape[1:3] == size:
        return weight
    parts = weight.permute(3, 0, 1, 2)
    return F.interpolate(parts, size=size, mode="bilinear", align_corners=True).permute(1, 2, 3, 0)


def global_filter(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve maps circularly with a filter as large as they are, given by its spectrum.

    Args:
        x: Maps, shape (B, C, h, w).
        weight: See `resize_spectrum`.

    Returns:
        float32, shape (B, C, h, w).
    """
    h, w = x.shape[-2:]
    # Half precision knows transforms of sides that are powers of two only.
    spectrum = torch.fft.rfft2(x.float(), norm="ortho")
    factor = torch.view_as_complex(resize_spectrum(weight, (h, w // 2 + 1)).contiguous())
    return torch.fft.irfft2(spectrum * factor, s=(h, w), norm="ortho")


class GlobalLocalFilter(nn.Module):
    """Half of the channels see 3 x 3 neighbours, the other half the whole map (GF variants, stages 3 and 4).

    Args:
        dim: Channels.
        grid: Side of the map the filter is made for; it is resized for others.
    """

    def __init__(self, dim: int, grid: int) -> None:
        super().__init__()
        half = dim // 2
        self.norm_in = LayerNorm2d(dim, eps=1e-6)
        self.local = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
        self.spectrum = nn.Parameter(torch.empty(half, grid, grid // 2 + 1, 2))
        nn.init.trunc_normal_(self.spectrum, std=0.02)
        self.norm_out = LayerNorm2d(dim, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Filter maps (B, C, h, w)."""
        near, far = self.norm_in(x).chunk(2, dim=1)
        near, far = self.local(near), global_filter(far, self.spectrum)
        return self.norm_out(torch.stack((near, far.to(near.dtype)), dim=2).flatten(1, 2))


class GatedConv(nn.Module):
    """A recursive gated convolution (section 3.1 of the paper).

    Args:
        dim: Channels.
        order: How many gates there are, one after the other.
        grid: Side of the map a global filter is made for; None takes a 7 x 7 convolution instead.
    """

    def __init__(self, dim: int, order: int, grid: int | None = None) -> None:
        super().__init__()
        self.dims = [dim // 2**i for i in reversed(range(order))]
        total = sum(self.dims)
        self.project = nn.Conv2d(dim, 2 * dim, 1)
        self.spatial = (
            nn.Conv2d(total, total, 7, padding=3, groups=total) if grid is None else GlobalLocalFilter(total, grid)
        )
        self.widen = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in itertools.pairwise(self.dims))
        self.out = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Mix maps (B, C, h, w)."""
        y, gates = self.project(x).split((self.dims[0], sum(self.dims)), dim=1)
        first, *rest = (self.spatial(gates) * SCALE).split(self.dims, dim=1)
        y = y * first
        for widen, gate in zip(self.widen, rest, strict=True):
            y = widen(y) * gate
        return self.out(y)


class Block(nn.Module):
    """A gated convolution and a perceptron, each scaled per channel and added to the map.

    Args:
        dim: Channels.
        order: See `GatedConv`.
        grid: See `GatedConv`.
        drop_path: Stochastic depth.
    """

    def __init__(self, dim: int, order: int, grid: int | None, drop_path: float) -> None:
        super().__init__()
        self.norm1 = LayerNorm2d(dim, eps=1e-6)
        self.mix = GatedConv(dim, order, grid)
        self.scale1 = nn.Parameter(torch.full((dim, 1, 1), 1e-6))
        self.norm2 = LayerNorm2d(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim, use_conv=True)
        self.scale2 = nn.Parameter(torch.full((dim, 1, 1), 1e-6))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Run on maps (B, C, h, w)."""
        x = x + self.drop_path(self.scale1 * self.mix(self.norm1(x)))
        return x + self.drop_path(self.scale2 * self.mlp(self.norm2(x)))


LOCAL, GLOBAL = (False, False, False, False), (False, False, True, True)


def _sizes(dim: int, filters: Sequence[bool] = LOCAL) -> dict[str, object]:
    return dict(dim=dim, depths=(2, 3, 18, 2), orders=(2, 3, 4, 5), filters=filters)


def _test(filters: Sequence[bool]) -> dict[str, object]:
    return dict(dim=8, depths=(1, 1, 2, 1), orders=(2, 3, 4, 5), filters=filters, img_size=64)


@MODELS.register_module()
class HorNet(Pooled):
    """HorNet, with 7 x 7 convolutions or, in its last two stages, with global filters (``_gf``).

    There is no attention. Class activation maps take the gain of the norm behind the pooling into account, but not
    its division by the spread of the pooled features, which is one number per image.

    Args:
        variant: A name of ``variants``.
        dim: Channels of the first stage; they double from stage to stage.
        depths: Blocks per stage.
        orders: Order of the gated convolutions of each stage.
        filters: Which stages have global filters.
        **kwargs: See `Native`.
    """

    variants = {
        "hornet_tiny": _sizes(64),
        "hornet_tiny_gf": _sizes(64, GLOBAL),
        "hornet_small": _sizes(96),
        "hornet_small_gf": _sizes(96, GLOBAL),
        "hornet_base": _sizes(128),
        "hornet_base_gf": _sizes(128, GLOBAL),
        "hornet_test": _test(LOCAL),
        "hornet_gf_test": _test(GLOBAL),
    }

    def build(  # type: ignore[override]
        self,
        *,
        drop_path_rate: float,
        img_size: int,
        dim: int,
        depths: Sequence[int],
        orders: Sequence[int],
        filters: Sequence[bool],
    ) -> None:
        """Make the modules; see `Native.build`."""
        channels = [dim * 2**i for i in range(len(depths))]
        strides = [4 * 2**i for i in range(len(depths))]
        rates = drop_path_rates(drop_path_rate, depths)
        self.stem = nn.Sequential(PatchConv(3, dim, 4), LayerNorm2d(dim, eps=1e-6))
        self.stages = nn.ModuleList()
        for i, (c, order, rate) in enumerate(zip(channels, orders, rates, strict=True)):
            lead = nn.Sequential(LayerNorm2d(c // 2, eps=1e-6), PatchConv(c // 2, c, 2)) if i else None
            grid = -(-img_size // strides[i]) if filters[i] else None
            self.stages.append(Stage(lead, (Block(c, order, grid, p) for p in rate)))
        self.norm = nn.LayerNorm(channels[-1], eps=1e-6)
        self.apply(start)
        self.patch_size, self.embed_dim = 4, channels[-1]
        self.stage_channels, self.stage_strides = channels, strides

    def pool(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pool, then norm; see `Pooled.pool`."""
        return x, self.norm(x.mean(dim=(2, 3)))

    def head_weight(self) -> Tensor:
        """Return the classifier's rows times the gain of the norm; see `Native.head_weight`."""
        return self.head.weight * self.norm.weight
