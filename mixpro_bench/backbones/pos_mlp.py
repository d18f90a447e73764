"""PosMLP: places of a window are mixed by Gaussians of their distance, not by learned tables (arXiv:2207.07284)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.layers import DropPath, LayerNorm2d, gen_relative_position_index
from torch import Tensor, nn

from mixpro_bench.backbones.pieces import drop_path_rates, partition, unpartition
from mixpro_bench.backbones.pooled import Pooled, Stage, start
from mixpro_bench.registry import MODELS


def offset_terms(window: int) -> Tensor:
    """Return what a quadratic form of an offset is made of, for all offsets in a window.

    Returns:
        ``dx^2, dy^2, dx dy, dx, dy``, shape (5, (2 * window - 1)^2), in the order of timm's relative position index:
        rows by ``dy = y_m - y_n``, columns by ``x_m - x_n``, which is ``-dx``.
    """
    span = torch.arange(1 - window, window, dtype=torch.float32)
    dy, dx = (grid.flatten() for grid in torch.meshgrid(span, -span, indexing="ij"))
    return torch.stack((dx * dx, dy * dy, dx * dy, dx, dy))


class PositionalGate(nn.Module):
    """Mix the places of a window, each group of channels with its own Gaussian.

    Place m takes from place n in the share ``softmax_n(-(d - c)^T A A^T (d - c) / 2)`` of their offset ``d``.

    Args:
        groups: Number of Gaussians; channel ``i`` belongs to group ``i % groups``.
        window: Side of a window.
    """

    def __init__(self, groups: int, window: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.eye(2).repeat(groups, 1, 1) + 0.01 * torch.randn(groups, 2, 2))
        self.centre = nn.Parameter(0.01 * torch.randn(groups, 2))
        self.bias = nn.Parameter(torch.zeros(window**2, 1))
        self.groups = groups
        self.register_buffer("terms", offset_terms(window), persistent=False)
        self.register_buffer("index", gen_relative_position_index((window, window)), persistent=False)

    def weights(self) -> Tensor:
        """Return the share that place m takes from place n, float32, shape (groups, m, n); rows sum to one."""
        # Sums of products, not matrix products: those would be rounded under autocast.
        form = (self.matrix[:, :, None] * self.matrix[:, None]).sum(dim=3)
        linear = (form * self.centre[:, None]).sum(dim=2)
        squares = torch.stack((form[:, 0, 0], form[:, 1, 1], form[:, 0, 1] + form[:, 1, 0]), dim=1)
        factors = torch.cat((-squares / 2, linear), dim=1)
        table = (factors[:, :, None] * self.terms).sum(dim=1)
        return table[:, self.index].softmax(dim=2)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix windows.

        Args:
            x: Shape (B, windows, N, C); places of padding are zero.
            mask: Which places are real, bool, shape (windows, N), or None if all are.

        Returns:
            Of the same shape. Real places take from real places only, in shares that sum to one.
        """
        weights = self.weights()
        out = torch.einsum("gmn,bwncg->bwmcg", weights, x.unflatten(-1, (-1, self.groups)))
        if mask is not None:
            taken = torch.einsum("gmn,wn->wmg", weights, mask.to(weights.dtype))
            out = out / torch.where(mask[..., None], taken, 1.0)[:, :, None].to(out.dtype)
        return out.flatten(-2) + self.bias


class Block(nn.Module):
    """A perceptron in whose middle one half of the channels, mixed over places, gates the other.

    Args:
        dim: Channels.
        ratio: Width of the perceptron before the gate, in multiples of ``dim``.
        groups: See `PositionalGate`.
        window: See `PositionalGate`.
        drop_path: Stochastic depth.
    """

    def __init__(self, dim: int, ratio: int, groups: int, window: int, drop_path: float) -> None:
        super().__init__()
        self.window = window
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.widen = nn.Linear(dim, ratio * dim)
        self.gate = PositionalGate(groups, window)
        self.narrow = nn.Linear(ratio * dim // 2, dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Run on maps (B, C, h, w)."""
        y = F.gelu(self.widen(self.norm(x.permute(0, 2, 3, 1))))
        mixed, gated = y.chunk(2, dim=-1)
        windows, mask = partition(mixed, self.window)
        mixed = unpartition(self.gate(windows, mask), self.window, (x.shape[2], x.shape[3]))
        return x + self.drop_path(self.narrow(mixed * gated).permute(0, 3, 1, 2))


def _sizes(dim: int) -> dict[str, object]:
    return dict(dim=dim, depths=(2, 2, 18, 2), ratios=(4, 4, 4, 2), groups=(8, 16, 32, 64), windows=(14, 14, 14, 7))


@MODELS.register_module()
class PosMLP(Pooled):
    """PosMLP. There is no attention; class activation maps are exact, since the norm stands before pooling.

    Maps that are not whole windows are padded; places of padding are neither taken from nor kept.

    Args:
        variant: A name of ``variants``.
        dim: Channels of the first stage; they double from stage to stage.
        depths: Blocks per stage.
        ratios: Width of the perceptrons of each stage.
        groups: Gaussians per block of each stage.
        windows: Side of the windows of each stage.
        **kwargs: See `Native`.
    """

    variants = {
        "pos_mlp_t": _sizes(96),
        "pos_mlp_s": _sizes(128),
        "pos_mlp_test": dict(
            dim=12, depths=(1, 1, 2, 1), ratios=(4, 4, 4, 2), groups=(1, 2, 4, 8), windows=(4, 4, 4, 2), img_size=64
        ),
    }

    def build(  # type: ignore[override]
        self,
        *,
        drop_path_rate: float,
        img_size: int,
        dim: int,
        depths: Sequence[int],
        ratios: Sequence[int],
        groups: Sequence[int],
        windows: Sequence[int],
    ) -> None:
        """Make the modules; see `Native.build`."""
        channels = [dim * 2**i for i in range(len(depths))]
        rates = drop_path_rates(drop_path_rate, depths)
        half = dim // 2
        self.stem = nn.Sequential(
            *(nn.Conv2d(3, half, 3, 2, 1), nn.BatchNorm2d(half), nn.GELU()),
            *(nn.Conv2d(half, dim, 3, 2, 1), nn.BatchNorm2d(dim), nn.GELU()),
            *(nn.Conv2d(dim, dim, 1), nn.BatchNorm2d(dim)),
        )
        self.stages = nn.ModuleList()
        for i, c in enumerate(channels):
            lead = None
            if i:
                lead = nn.Sequential(nn.Conv2d(c // 2, c, 3, 2, 1, groups=c // 2), LayerNorm2d(c, eps=1e-6))
            blocks = (Block(c, ratios[i], groups[i], windows[i], p) for p in rates[i])
            self.stages.append(Stage(lead, blocks))
        self.norm = LayerNorm2d(channels[-1], eps=1e-6)
        self.apply(start)
        self.patch_size, self.embed_dim = 4, channels[-1]
        self.stage_channels, self.stage_strides = channels, [4 * 2**i for i in range(len(depths))]
