"""OAMixer on DeiT: attention between patches is damped and normalised anew."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.layers import Attention, DropPath, Mlp, trunc_normal_
from torch import Tensor, nn

from mixpro_bench.backbones.attention import attention_row
from mixpro_bench.backbones.family import as_map
from mixpro_bench.backbones.oamixer import MixingBlock, OAMixer
from mixpro_bench.backbones.pieces import drop_path_rates, join_heads, pad_to, resize_table, split_heads
from mixpro_bench.backbones.pooled import start
from mixpro_bench.registry import MODELS


def damped_attention(attn: Attention, x: Tensor, distance: Tensor | None, strength: Tensor) -> Tensor:
    """Attend, with the weights between patches times ``exp(-strength * distance)`` and rows normalised anew.

    That is the softmax of the products less ``strength * distance``, so the kernel stays fused. The class token's row
    and column keep their weights.

    Args:
        attn: The layer.
        x: Tokens, the class token first, shape (B, 1 + N, C).
        distance: Shape (B, N, N), or None for plain attention.
        strength: A number.
    """
    q, k, v = (split_heads(part, attn.num_heads) for part in attn.qkv(x).chunk(3, dim=-1))
    bias = None
    if distance is not None:
        bias = F.pad(-strength * distance, (1, 0, 1, 0))[:, None].to(q.dtype)
    return attn.proj(join_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=bias)))


class Block(MixingBlock):
    """A transformer block; see `MixingBlock`. It runs on tokens (B, 1 + N, C), the class token first.

    Args:
        dim: Channels.
        heads: Number of heads.
        drop_path: Stochastic depth.
    """

    def __init__(self, dim: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads, qkv_bias=True)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, size: tuple[int, int], distance: Tensor | None, strength: Tensor) -> Tensor:
        """Run the block; see `MixingBlock.forward`."""
        x = x + self.drop_path(damped_attention(self.attn, self.norm1(x), distance, strength))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class Stem(nn.Module):
    """Patches, a class token, and positions, resampled for images of another size than the one they are made for.

    Args:
        dim: Channels.
        patch: Side of a patch.
        grid: Patches per side of the images that positions are made for.
    """

    def __init__(self, dim: int, patch: int, grid: int) -> None:
        super().__init__()
        self.patch, self.grid = patch, grid
        self.conv = nn.Conv2d(3, dim, patch, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.cls_pos = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, grid * grid, dim))
        for table in (self.cls_token, self.cls_pos, self.pos_embed):
            trunc_normal_(table, std=0.02)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Turn images (B, 3, H, W) into tokens (B, 1 + h * w, C), and say h and w."""
        x = self.conv(pad_to(x, self.patch))
        size = (x.shape[2], x.shape[3])
        positions = resize_table(self.pos_embed.mT.unflatten(2, (self.grid, self.grid)), size)
        patches = (x + positions).flatten(2).mT
        first = (self.cls_token + self.cls_pos).expand(len(x), -1, -1)
        return torch.cat((first.to(patches.dtype), patches), dim=1), size


def _sizes(dim: int, heads: int) -> dict[str, object]:
    return dict(dim=dim, depth=12, heads=heads, patch=16, token_loss=0.0)


@MODELS.register_module()
class OAMixerDeiT(OAMixer):
    """OAMixer on DeiT; see `OAMixer`.

    Importance is the class token's row in the last block. The damping leaves that row as it is and shows in what the
    earlier blocks have made of the tokens. The last block's own strength matters to the loss on patches only.

    Args:
        variant: A name of ``variants``.
        dim: Channels.
        depth: Number of blocks.
        heads: Number of heads.
        patch: Pixels per token side.
        token_loss: See `OAMixer`.
        **kwargs: See `Native`.
    """

    variants = {
        "oamixer_deit_tiny": _sizes(192, 3),
        "oamixer_deit_small": _sizes(384, 6),
        "oamixer_deit_base": _sizes(768, 12),
        "oamixer_deit_test": dict(dim=24, depth=4, heads=3, patch=16, token_loss=0.0, img_size=64),
    }

    def build(  # type: ignore[override]
        self,
        *,
        drop_path_rate: float,
        img_size: int,
        dim: int,
        depth: int,
        heads: int,
        patch: int,
        token_loss: float,
    ) -> None:
        """Make the modules; see `Native.build`."""
        self.importance_kinds = ("cls",)
        self.stem = Stem(dim, patch, -(-img_size // patch))
        (rates,) = drop_path_rates(drop_path_rate, [depth])
        self.arrange([Block(dim, heads, rate) for rate in rates], dim, patch, token_loss)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.apply(start)

    def begin(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Cut images into tokens; see `OAMixer.begin`."""
        return self.stem(x)

    def as_map(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the patch tokens as a map; see `OAMixer.as_map`."""
        return as_map(x[:, 1:], *size)

    def close(self, x: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return the patch tokens and the class token after the norm; see `OAMixer.close`."""
        x = self.norm(x)
        return self.as_map(x, size), x[:, 0]

    @torch.no_grad()
    def read(self, block: nn.Module, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the class token's row; see `OAMixer.read`.

        Queries and keys are computed once more, of one layer: cheaper than to have every block hand them out.
        """
        attn = block.attn
        q, k, _ = (split_heads(part, attn.num_heads) for part in attn.qkv(block.norm1(x)).chunk(3, dim=-1))
        return attention_row(q, k, attn.scale, "cls", prefix=1).unflatten(1, size)
