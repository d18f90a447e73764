"""OAMixer on MLP-Mixer: the linear part of the perceptron over patches is damped."""

from __future__ import annotations

from timm.layers import DropPath, Mlp
from torch import Tensor, nn

from mixpro_bench.backbones.family import as_map
from mixpro_bench.backbones.oamixer import MixingBlock, OAMixer, damping
from mixpro_bench.backbones.pieces import drop_path_rates, pad_to
from mixpro_bench.backbones.pooled import start
from mixpro_bench.backbones.raft_mlp import resize
from mixpro_bench.registry import MODELS


def damped_mlp(mlp: Mlp, x: Tensor, distance: Tensor | None, strength: Tensor) -> Tensor:
    """Run a perceptron over patches, the matrix of its linear part times ``exp(-strength * distance)``.

    Of ``f(x) = W2 act(W1 x + b1) + b2`` the linear part is ``W2 W1 x + W2 b1 + b2``. With its matrix damped and the
    rest left alone, constants cancel: what changes is that ``(W2 W1 * damping) x`` comes on top.

    Args:
        mlp: The perceptron.
        x: Patches, shape (B, N, C).
        distance: Shape (B, N, N), or None for the plain perceptron.
        strength: A number.
    """
    out = mlp(x.mT).mT
    if distance is None:
        return out
    return out + (mlp.fc2.weight @ mlp.fc1.weight * damping(strength, distance)) @ x


class Block(MixingBlock):
    """A block of MLP-Mixer; see `MixingBlock`. It runs on patches (B, N, C).

    The perceptron over patches is tied to the grid it is made for; for images of another size, what it sees and what
    it adds are resized.

    Args:
        dim: Channels.
        grid: Patches per side that the perceptron over patches is made for.
        drop_path: Stochastic depth.
    """

    def __init__(self, dim: int, grid: int, drop_path: float) -> None:
        super().__init__()
        self.grid = (grid, grid)
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp_tokens = Mlp(grid * grid, dim // 2)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp_channels = Mlp(dim, 4 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, size: tuple[int, int], distance: Tensor | None, strength: Tensor) -> Tensor:
        """Run the block; see `MixingBlock.forward`. The distance is that of the perceptron's grid."""
        y = self.norm1(x)
        if size != self.grid:
            y = resize(as_map(y, *size), self.grid, antialias=True).flatten(2).mT
        y = damped_mlp(self.mlp_tokens, y, distance, strength)
        if size != self.grid:
            y = resize(as_map(y, *self.grid), size).flatten(2).mT
        x = x + self.drop_path(y)
        return x + self.drop_path(self.mlp_channels(self.norm2(x)))


@MODELS.register_module()
class OAMixerMLP(OAMixer):
    """OAMixer on MLP-Mixer; see `OAMixer`. Class activation maps are exact: the norm stands before pooling.

    Args:
        variant: A name of ``variants``.
        dim: Channels.
        depth: Number of blocks.
        patch: Pixels per patch side.
        token_loss: See `OAMixer`.
        **kwargs: See `Native`.
    """

    importance_kinds = ("cam",)
    variants = {
        "oamixer_mixer_s16": dict(dim=512, depth=8, patch=16, token_loss=0.0),
        "oamixer_mixer_b16": dict(dim=768, depth=12, patch=16, token_loss=0.0),
        "oamixer_mixer_test": dict(dim=32, depth=4, patch=16, token_loss=0.0, img_size=64),
    }

    def build(  # type: ignore[override]
        self, *, drop_path_rate: float, img_size: int, dim: int, depth: int, patch: int, token_loss: float
    ) -> None:
        """Make the modules; see `Native.build`."""
        self.grid = -(-img_size // patch)
        self.stem = nn.Conv2d(3, dim, patch, patch)
        (rates,) = drop_path_rates(drop_path_rate, [depth])
        self.arrange([Block(dim, self.grid, rate) for rate in rates], dim, patch, token_loss)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.apply(start)

    def begin(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Cut images into patches; see `OAMixer.begin`."""
        x = self.stem(pad_to(x, self.patch_size))
        return x.flatten(2).mT, (x.shape[2], x.shape[3])

    def mixed_grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the grid of the perceptrons over patches; see `OAMixer.mixed_grid`."""
        return self.grid, self.grid

    def as_map(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the patches as a map; see `OAMixer.as_map`."""
        return as_map(x, *size)

    def close(self, x: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Norm, then pool; see `OAMixer.close`."""
        x = self.norm(x)
        return as_map(x, *size), x.mean(dim=1)
