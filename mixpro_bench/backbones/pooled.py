"""What systems without tokens of readout share: a stem, stages of blocks on maps, and the mean over all places."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from mixpro_bench.backbones.contract import Share
from mixpro_bench.backbones.native import Encoded, Native


class Stage(nn.Module):
    """Blocks at one resolution, and what leads there.

    Args:
        downsample: From the previous stage's map to this one's; nothing where it is None.
        blocks: Each takes and returns a map, shape (B, C, h, w).
    """

    def __init__(self, downsample: nn.Module | None, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.downsample = nn.Identity() if downsample is None else downsample
        self.blocks = nn.ModuleList(blocks)


class Pooled(Native):
    """A system that classifies by the mean over all places of its last map.

    `build` makes ``stem``, ``stages`` (each a `Stage`) and ``norm``, which stands before pooling, so that class
    activation maps are exact.
    """

    readout = ("norm",)
    importance_kinds: tuple[str, ...] = ("cam",)
    stem: nn.Module
    stages: nn.ModuleList
    norm: nn.Module

    def trunk(self, x: Tensor) -> list[Tensor]:
        """Return the map of every stage, shape (B, C_i, h_i, w_i)."""
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage.downsample(x)
            for block in stage.blocks:
                x = self.run(block, x)
            maps.append(x)
        return maps

    def encode(self, x: Tensor, *, kind: str | None = None, share: Share | None = None) -> Encoded:
        """Run the system; see `Native.encode`."""
        maps = self.trunk(x)
        if self.dense:
            return Encoded(maps, maps[-1])
        tokens, readout = self.pool(maps[-1])
        return Encoded(maps, tokens, readout)

    def pool(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tokens before pooling, shape (B, C, h, w), and what the classifier sees, shape (B, C)."""
        tokens = self.norm(x)
        return tokens, tokens.mean(dim=(2, 3))


def start(module: nn.Module) -> None:
    """Draw weights of linear and convolutional layers from a normal distribution of 0.02, and set biases to zero.

    Meant for ``apply``.
    """
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
