"""OAMixer on ConvMixer: the convolution over patches, one kernel for all channels, is damped."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn

from mixpro_bench.backbones.oamixer import MixingBlock, OAMixer, damping
from mixpro_bench.backbones.pieces import drop_path_rates, pad_to
from mixpro_bench.registry import MODELS


def toeplitz(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the matrix that takes a map to its convolution with a kernel, with zeros around the map.

    Args:
        kernel: Shape (1, 1, k, k), k odd.
        size: Rows and columns of the map.

    Returns:
        Shape (N, N), N the number of cells: row i is what cell i is made of.
    """
    n = size[0] * size[1]
    units = torch.eye(n, dtype=kernel.dtype, device=kernel.device).view(n, 1, *size)
    return F.conv2d(units, kernel, padding=kernel.shape[-1] // 2).flatten(1).mT


class SharedConv(nn.Module):
    """A convolution of every channel with one kernel that all of them share.

    Args:
        dim: Channels.
        kernel: Side of the kernel, odd.
    """

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, 1, kernel, kernel).uniform_(-1 / kernel, 1 / kernel))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor, distance: Tensor | None, strength: Tensor) -> Tensor:
        """Convolve maps.

        Args:
            x: Shape (B, C, h, w).
            distance: Shape (B, h * w, h * w), or None for the plain convolution.
            strength: How strongly distance damps, a number.
        """
        c, size = x.shape[1], (x.shape[2], x.shape[3])
        kernel = self.weight.expand(c, -1, -1, -1)
        out = F.conv2d(x, kernel, self.bias, padding=self.weight.shape[-1] // 2, groups=c)
        if distance is None:
            return out
        change = toeplitz(self.weight, size) * damping(strength, distance)
        return out + (change @ x.flatten(2).mT).mT.unflatten(2, size)


class Block(MixingBlock):
    """A block of ConvMixer; see `MixingBlock`. It runs on maps (B, C, h, w).

    Args:
        dim: Channels.
        kernel: Side of the kernel.
        drop_path: Stochastic depth of the mixing of patches.
    """

    def __init__(self, dim: int, kernel: int, drop_path: float) -> None:
        super().__init__()
        self.conv = SharedConv(dim, kernel)
        self.norm1 = nn.BatchNorm2d(dim)
        self.channels = nn.Conv2d(dim, dim, 1)
        self.norm2 = nn.BatchNorm2d(dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, size: tuple[int, int], distance: Tensor | None, strength: Tensor) -> Tensor:
        """Run the block; see `MixingBlock.forward`."""
        x = x + self.drop_path(self.norm1(F.gelu(self.conv(x, distance, strength))))
        return self.norm2(F.gelu(self.channels(x)))


@MODELS.register_module()
class OAMixerConv(OAMixer):
    """OAMixer on a ConvMixer whose channels share the kernels over patches; see `OAMixer`.

    The shared kernel makes it another network than ConvMixer, to be compared with itself without damping. Class
    activation maps are exact: nothing stands between the last block and pooling.

    Args:
        variant: A name of ``variants``.
        dim: Channels.
        depth: Number of blocks.
        kernel: Side of the kernels over patches.
        patch: Pixels per patch side.
        token_loss: See `OAMixer`.
        **kwargs: See `Native`.
    """

    importance_kinds = ("cam",)
    variants = {
        "oamixer_convmixer_768_32": dict(dim=768, depth=32, kernel=7, patch=7, token_loss=0.0),
        "oamixer_convmixer_1024_20": dict(dim=1024, depth=20, kernel=9, patch=14, token_loss=0.0),
        "oamixer_convmixer_test": dict(dim=24, depth=4, kernel=3, patch=7, token_loss=0.0, img_size=64),
    }

    def build(  # type: ignore[override]
        self, *, drop_path_rate: float, img_size: int, dim: int, depth: int, kernel: int, patch: int, token_loss: float
    ) -> None:
        """Make the modules; see `Native.build`."""
        self.stem = nn.Sequential(nn.Conv2d(3, dim, patch, patch), nn.GELU(), nn.BatchNorm2d(dim))
        (rates,) = drop_path_rates(drop_path_rate, [depth])
        self.arrange([Block(dim, kernel, rate) for rate in rates], dim, patch, token_loss)
        self.norm = nn.Identity()
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.zeros_(part.bias)

    def begin(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Cut images into patches; see `OAMixer.begin`."""
        x = self.stem(pad_to(x, self.patch_size))
        return x, (x.shape[2], x.shape[3])

    def as_map(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the map; see `OAMixer.as_map`."""
        return x

    def close(self, x: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Pool; see `OAMixer.close`."""
        return x, x.mean(dim=(2, 3))
