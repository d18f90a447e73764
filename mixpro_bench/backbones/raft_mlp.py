"""RaftMLP: perceptrons along columns and rows, over several channels at once (arXiv:2108.04384)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from timm.layers import DropPath, LayerNorm2d, Mlp
from torch import Tensor, nn

from mixpro_bench.backbones.pieces import drop_path_rates, pad_to
from mixpro_bench.backbones.pooled import Pooled, Stage, start
from mixpro_bench.errors import UserError
from mixpro_bench.registry import MODELS

Mode = Literal["branch", "official"]
MODES: tuple[Mode, ...] = ("branch", "official")


class Embedding(nn.Module):
    """Patches seen at several scales around one centre, put side by side and projected.

    Args:
        in_channels: Channels of the map.
        out_channels: Channels of the patches.
        patch: Pixels from one patch to the next; maps are padded to whole patches.
        kernels: Sides of the patches, larger than ``patch`` by even numbers.
    """

    def __init__(self, in_channels: int, out_channels: int, patch: int, kernels: Sequence[int]) -> None:
        super().__init__()
        self.patch, self.kernels, self.in_channels = patch, tuple(kernels), in_channels
        self.project = nn.Linear(in_channels * sum(k * k for k in kernels), out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (B, C, h, w) into (B, C', ceil(h / patch), ceil(w / patch))."""
        x = pad_to(x, self.patch)
        # The projection of patches side by side is a sum of convolutions, which need no copies of the patches.
        parts = self.project.weight.split([self.in_channels * k * k for k in self.kernels], dim=1)
        scales: list[Tensor] = []
        for k, part in zip(self.kernels, parts, strict=True):
            weight, bias = part.reshape(-1, self.in_channels, k, k), None if scales else self.project.bias
            scales.append(F.conv2d(x, weight, bias, self.patch, (k - self.patch) // 2))
        return sum(scales[1:], scales[0])


class TokenMix(nn.Module):
    """A perceptron along every column, over ``raft`` groups of channels together.

    Args:
        dim: Channels.
        grid: Rows.
        raft: Number of groups; channels ``i``, ``i + dim / raft``, ... are mixed with one another.
    """

    def __init__(self, dim: int, grid: int, raft: int) -> None:
        super().__init__()
        self.raft = raft
        self.norm = LayerNorm2d(dim, eps=1e-6)
        self.mlp = Mlp(raft * grid, 2 * raft * grid)

    def forward(self, x: Tensor, *, across: bool = False) -> Tensor:
        """Mix maps (B, C, h, w) along their height, or ``across`` them along their width."""
        x = self.norm(x).unflatten(1, (self.raft, -1))
        x = x.movedim((1, 4), (3, 4)) if across else x.movedim((1, 3), (3, 4))
        x = self.mlp(x.flatten(3)).unflatten(3, (self.raft, -1))
        x = x.movedim((3, 4), (1, 4)) if across else x.movedim((3, 4), (1, 3))
        return x.flatten(1, 2)


class Block(nn.Module):
    """Mixing along columns, along rows and of channels, each added to the map.

    Args:
        dim: Channels.
        grid: Side of the map that the perceptrons along columns and rows are made for.
        raft: See `TokenMix`.
        mode: What is resized to and from that grid at other sizes; see `RaftMLP`.
        drop_path: Stochastic depth.
    """

    def __init__(self, dim: int, grid: int, raft: int, mode: Mode, drop_path: float) -> None:
        super().__init__()
        self.grid, self.mode = (grid, grid), mode
        self.down = TokenMix(dim, grid, raft)
        self.across = TokenMix(dim, grid, raft)
        self.norm = LayerNorm2d(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim, use_conv=True)
        self.drop_path = DropPath(drop_path)

    def mix(self, x: Tensor) -> Tensor:
        """Mix maps (B, C, grid, grid) along columns and rows."""
        x = x + self.drop_path(self.down(x))
        return x + self.drop_path(self.across(x, across=True))

    def forward(self, x: Tensor) -> Tensor:
        """Run on maps (B, C, h, w)."""
        size = (x.shape[2], x.shape[3])
        if size == self.grid:
            x = self.mix(x)
        elif self.mode == "official":
            x = resize(self.mix(resize(x, self.grid)), size)
        else:
            fitted = resize(x, self.grid, antialias=True)
            x = x + resize(self.mix(fitted) - fitted, size)
        return x + self.drop_path(self.mlp(self.norm(x)))


def resize(x: Tensor, size: tuple[int, int], antialias: bool = False) -> Tensor:
    """Resample maps bicubically; with ``antialias`` all cells count where the new grid is coarser."""
    return F.interpolate(x, size=size, mode="bicubic", align_corners=False, antialias=antialias)


def _sizes(dims: Sequence[int]) -> dict[str, object]:
    return dict(
        dims=dims,
        depths=(2, 2, 6, 2),
        patches=(4, 2, 2, 2),
        kernels=((4, 8), (2, 4), (2, 4), (2,)),
        raft=2,
        mode="branch",
    )


@MODELS.register_module()
class RaftMLP(Pooled):
    """RaftMLP. There is no attention; class activation maps are exact, since the norm stands before pooling.

    Its perceptrons along columns and rows are tied to the size it is built for. At other sizes the authors' code
    resizes the whole map to that grid and back in every block (``mode="official"``), which blurs away all detail finer
    than the grid. Here only what the perceptrons add is resized (``mode="branch"``), and what they see is averaged
    over the cells of a coarser grid. At the size it is built for, both
    are the same.

    Args:
        variant: A name of ``variants``.
        dims: Channels per stage.
        depths: Blocks per stage.
        patches: Side of the patches that lead into each stage.
        kernels: Sides of the patches' several scales.
        raft: Groups of channels that are mixed together along columns and rows.
        mode: ``"branch"`` or ``"official"``.
        **kwargs: See `Native`.

    Raises:
        UserError: If the mode is unknown.
    """

    variants = {
        "raft_mlp_s": _sizes((64, 128, 256, 512)),
        "raft_mlp_m": _sizes((96, 192, 384, 768)),
        "raft_mlp_l": _sizes((128, 192, 512, 1024)),
        "raft_mlp_test": {**_sizes((8, 16, 32, 64)), "depths": (1, 1, 2, 1), "img_size": 64},
    }

    def build(  # type: ignore[override]
        self,
        *,
        drop_path_rate: float,
        img_size: int,
        dims: Sequence[int],
        depths: Sequence[int],
        patches: Sequence[int],
        kernels: Sequence[Sequence[int]],
        raft: int,
        mode: Mode,
    ) -> None:
        """Make the modules; see `Native.build`."""
        if mode not in MODES:
            raise UserError(f"model.backbone.mode={mode!r}: RaftMLP resizes its 'branch' only, or all, as 'official'")
        rates = drop_path_rates(drop_path_rate, depths)
        self.stages = nn.ModuleList()
        self.stage_channels, self.stage_strides = list(dims), []
        grid, stride, before = img_size, 1, 3
        for i, (c, patch) in enumerate(zip(dims, patches, strict=True)):
            grid, stride = -(-grid // patch), stride * patch
            lead = Embedding(before, c, patch, kernels[i])
            before = c
            if i == 0:
                self.stem = lead
            self.stages.append(Stage(lead if i else None, (Block(c, grid, raft, mode, p) for p in rates[i])))
            self.stage_strides.append(stride)
        self.norm = LayerNorm2d(dims[-1], eps=1e-6)
        self.apply(start)
        self.patch_size, self.embed_dim = patches[0], dims[-1]
