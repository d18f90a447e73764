"""Swin with class attention in place of its last block, as TransMix trains Swin (arXiv:2111.09833, section 4.5).

Nobody released it. This is this package's reading: a class token that enters after the last window block, and one
block of CaiT's class attention without layer scale and without position bias.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from timm.layers import DropPath, Mlp, PatchEmbed, trunc_normal_
from timm.models.swin_transformer import SwinTransformerStage
from torch import Tensor, nn

from mixpro_bench.backbones.contract import Share
from mixpro_bench.backbones.family import as_map, input_share
from mixpro_bench.backbones.native import Encoded, Native
from mixpro_bench.backbones.pieces import ClassAttention, drop_path_rates, initialise
from mixpro_bench.backbones.swin import merge, read_block
from mixpro_bench.registry import MODELS


class ClassBlock(nn.Module):
    """Class attention and an MLP for the class token alone.

    Args:
        dim: Channels.
        heads: Number of heads.
        drop_path: Stochastic depth.
    """

    def __init__(self, dim: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = ClassAttention(dim, heads)
        self.mlp = Mlp(dim, 4 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, token: Tensor, patches: Tensor, read: bool) -> tuple[Tensor, Tensor | None]:
        """Return the class token (B, 1, C), and how much it attends to each patch token (B, N) if asked for."""
        attended, row = self.attn(self.norm1(torch.cat((token, patches), dim=1)), read)
        token = token + self.drop_path(attended)
        return token + self.drop_path(self.mlp(self.norm2(token))), row


@MODELS.register_module()
class CASwin(Native):
    """Swin whose last block is class attention; see `Native`.

    Importance is the class token's row, which sees the whole image at any size. The share of A is averaged over the
    four tokens that patch merging joins, and carried through every block as through timm's Swin.
    """

    variants = {
        "ca_swin_tiny": dict(dim=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24), window=7),
        "ca_swin_test": dict(dim=12, depths=(1, 2, 1, 2), heads=(1, 2, 2, 4), window=4, img_size=64),
    }
    readout = ("cls_token", "class_block", "norm")
    importance_kinds = ("class_attn",)
    gives_share = True
    smallest = 4

    def build(  # type: ignore[override]
        self,
        *,
        drop_path_rate: float,
        img_size: int,
        dim: int,
        depths: Sequence[int],
        heads: Sequence[int],
        window: int,
    ) -> None:
        """Make the modules.

        Args:
            drop_path_rate: Stochastic depth of the class attention.
            img_size: Windows are no larger than the grid that images of this side leave to a stage.
            dim: Channels of the first stage; each stage has twice those of the one before.
            depths: Blocks per stage, the class attention included.
            heads: Number of heads per stage.
            window: Tokens per side of a window.
        """
        self.patch_size = 4
        self.stage_channels = [dim * 2**i for i in range(len(depths))]
        self.stage_strides = [4 * 2**i for i in range(len(depths))]
        self.embed_dim = self.stage_channels[-1]
        *rates, (*last_rates, class_rate) = drop_path_rates(drop_path_rate, depths)
        self.stem = PatchEmbed(
            img_size, 4, 3, dim, norm_layer=nn.LayerNorm, output_fmt="NHWC", strict_img_size=False, dynamic_img_pad=True
        )
        grid = -(-img_size // 4)
        stages = []
        for i, stage_rates in enumerate((*rates, last_rates)):
            before = self.stage_channels[max(i - 1, 0)]
            side = -(-grid // 2 ** max(i - 1, 0))
            stages.append(
                SwinTransformerStage(
                    before,
                    self.stage_channels[i],
                    (side, side),
                    len(stage_rates),
                    downsample=i > 0,
                    num_heads=heads[i],
                    window_size=window,
                    dynamic_mask=True,
                    drop_path=list(stage_rates),
                )
            )
        self.stages = nn.ModuleList(stages)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.embed_dim))
        self.class_block = ClassBlock(self.embed_dim, heads[-1], class_rate)
        self.norm = nn.LayerNorm(self.embed_dim)
        trunc_normal_(self.cls_token, std=0.02)
        initialise(self.stages, self.class_block)

    def encode(self, x: Tensor, *, kind: str | None = None, share: Share | None = None) -> Encoded:
        """Run the system; see `Native.encode`."""
        x = self.stem(x)
        carried = None if share is None else input_share(share, *x.shape[1:3])
        maps = []
        for i, stage in enumerate(self.stages):
            x = stage.downsample(x)
            if carried is not None and i:
                carried = merge(carried)
            for block in stage.blocks:
                if carried is None:
                    x = self.run(block, x)
                else:
                    x, _, carried = self.run(read_block, block, x, carried)
            maps.append(x.permute(0, 3, 1, 2).contiguous())
        if self.dense:
            return Encoded(maps, maps[-1])
        size = (x.shape[1], x.shape[2])
        patches = x.flatten(1, 2)
        token = self.cls_token.expand(len(x), -1, -1)
        token, row = self.run(self.class_block, token, patches, kind is not None or carried is not None)
        at_readout = None
        if share is not None and carried is not None and row is not None:
            # What the row leaves to one, the class token attends to itself.
            attended = (row * carried.flatten(1)).sum(dim=1) + (1 - row.sum(dim=1)) * share.lam
            at_readout = (attended + share.lam) / 2
        normed = self.norm(torch.cat((token, patches), dim=1))
        weights = None if kind is None or row is None else row.unflatten(1, size)
        return Encoded(maps, as_map(normed[:, 1:], *size), normed[:, 0], weights, at_readout)
