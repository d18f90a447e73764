"""FAN: fully attentional networks, whose MLP is replaced by attention between channels.

Zhou et al., arXiv:2204.12451. Written from a description of the mechanism; the released code and weights are for
non-commercial use only, and nothing of either is in here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from timm.layers import Attention, DropPath, LayerNorm2d
from timm.models.convnext import ConvNeXtBlock
from timm.models.xcit import ClassAttentionBlock, PositionalEncodingFourier
from torch import Tensor, nn

from mixpro_bench.backbones.attention import class_row
from mixpro_bench.backbones.contract import Share
from mixpro_bench.backbones.family import as_map
from mixpro_bench.backbones.native import Encoded, Native
from mixpro_bench.backbones.pieces import PatchConv, drop_path_rates, initialise
from mixpro_bench.backbones.pooled import Stage
from mixpro_bench.registry import MODELS

LayerNorm = partial(nn.LayerNorm, eps=1e-6)


class LocalMlp(nn.Module):
    """An MLP whose hidden layer is refined by two depth-wise convolutions, with no other activation.

    Args:
        dim: Channels.
        hidden: Channels of the hidden layer.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.local = nn.Sequential(
            nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden),
            nn.GELU(),
            nn.BatchNorm2d(hidden),
            nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden),
        )
        self.gamma = nn.Parameter(torch.ones(hidden))
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Map tokens (B, h * w, C) to tokens of the same shape; ``size`` is h and w."""
        x = self.fc1(x)
        near = self.local(as_map(x, *size)).flatten(2).transpose(1, 2)
        return self.fc2(x + self.gamma * near)


class ChannelAttention(nn.Module):
    """One gate per channel and image, from how alike the channel and its head look over the tokens.

    With queries q and the tokens k themselves, both normalised over the tokens by a softmax, the gate of channel c of
    head h is ``temperature_h * sigmoid(sum_p q[p, c] * mean_c'(k[p, c']))``; it scales the output of an MLP.

    Args:
        dim: Channels.
        heads: Number of heads.
        mlp_ratio: Width of the hidden layer of the MLP.
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.mlp = LocalMlp(dim, int(mlp_ratio * dim))
        self.norm = LayerNorm(dim)
        self.temperature = nn.Parameter(torch.ones(heads, 1))

    def gate(self, x: Tensor) -> Tensor:
        """Return the gates of tokens (B, N, C), float32, shape (B, 1, C).

        Products are small beside 1 and bfloat16 would round them away, so all of it is done in float32.
        """
        q = self.q(x).float().softmax(dim=1).unflatten(2, (self.heads, -1))
        k = x.float().softmax(dim=1).unflatten(2, (self.heads, -1)).mean(dim=3, keepdim=True)
        return (self.temperature * (q * k).sum(dim=1).sigmoid()).flatten(1)[:, None]

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Map tokens (B, h * w, C) to tokens of the same shape; ``size`` is h and w."""
        value = self.norm(self.mlp(x, size))
        return self.gate(x).to(value.dtype) * value


class FANBlock(nn.Module):
    """Attention between tokens, then between channels, both scaled per channel.

    Args:
        dim: Channels.
        heads: Number of heads.
        drop_path: Stochastic depth.
    """

    def __init__(self, dim: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = LayerNorm(dim), LayerNorm(dim)
        self.attn = Attention(dim, heads, qkv_bias=True)
        self.channel = ChannelAttention(dim, heads)
        self.gamma1, self.gamma2 = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.ones(dim))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map a map (B, C, h, w) to one of the same shape."""
        size = (x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2)
        x = x + self.drop_path(self.gamma1 * self.attn(self.norm1(x)))
        x = x + self.drop_path(self.gamma2 * self.channel(self.norm2(x), size))
        return as_map(x, *size)


def overlapping_stem(dim: int) -> nn.Sequential:
    """Return four convolutions of stride 2 that lead from pixels to tokens of stride 16."""
    widths = (3, dim // 8, dim // 4, dim // 2, dim)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Conv2d(fan_in, fan_out, 3, 2, 1, bias=False), nn.BatchNorm2d(fan_out), nn.GELU()]
    return nn.Sequential(*layers[:-1])


@MODELS.register_module()
class FAN(Native):
    """FAN with a plain stem (ViT, tokens of stride 16 throughout) or with two stages of ConvNeXt before (Hybrid).

    The twelve (Hybrid: eight) blocks are cut into stages of equal length for the sake of feature maps; nothing happens
    between them. Importance is the class token's row in the last
    class-attention layer.
    """

    variants = {
        "fan_vit_tiny": dict(dim=192, depths=(3, 3, 3, 3), heads=4, conv_dims=()),
        "fan_vit_small": dict(dim=384, depths=(3, 3, 3, 3), heads=8, conv_dims=()),
        "fan_hybrid_tiny": dict(dim=192, depths=(3, 3, 4, 4), heads=8, conv_dims=(128, 256)),
        "fan_vit_test": dict(dim=32, depths=(1, 1, 1, 1), heads=2, conv_dims=(), img_size=64),
        "fan_hybrid_test": dict(dim=24, depths=(1, 1, 1, 1), heads=2, conv_dims=(16, 32), img_size=64),
    }
    readout = ("cls_token", "class_blocks", "norm")
    importance_kinds = ("class_attn",)
    smallest = 16

    def build(  # type: ignore[override]
        self,
        *,
        drop_path_rate: float,
        img_size: int,
        dim: int,
        depths: Sequence[int],
        heads: int,
        conv_dims: Sequence[int],
    ) -> None:
        """Make the modules.

        Args:
            drop_path_rate: Stochastic depth of the last block.
            img_size: Unused: nothing depends on it.
            dim: Channels of the tokens.
            depths: Blocks per stage, those of ConvNeXt first.
            heads: Number of heads.
            conv_dims: Channels of the ConvNeXt stages, with strides 4, 8, ...
        """
        first = len(conv_dims)
        self.patch_size = 4 if conv_dims else 16
        self.embed_dim = dim
        self.stage_channels = [*conv_dims] + [dim] * (len(depths) - first)
        self.stage_strides = [min(4 * 2**i, 16) if conv_dims else 16 for i in range(len(depths))]
        rates = drop_path_rates(drop_path_rate, depths)
        stages = []
        for i, (channels, stage_rates) in enumerate(zip(self.stage_channels, rates, strict=True)):
            before = self.stage_channels[i - 1]
            lead: nn.Module | None = None
            if 0 < i < first:
                lead = nn.Sequential(LayerNorm2d(before), PatchConv(before, channels, 2))
            elif 0 < i == first:
                lead = PatchConv(before, channels, 2)
            convolve = partial(ConvNeXtBlock, channels)
            attend = partial(FANBlock, channels, heads)
            block = convolve if i < first else attend
            stages.append(Stage(lead, (block(drop_path=rate) for rate in stage_rates)))
        self.stem = (
            nn.Sequential(PatchConv(3, conv_dims[0], 4), LayerNorm2d(conv_dims[0])) if first else overlapping_stem(dim)
        )
        self.stages = nn.ModuleList(stages)
        self.pos_embed = PositionalEncodingFourier(dim=dim)
        self.first_token_stage = first
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.class_blocks = nn.ModuleList(
            ClassAttentionBlock(dim, heads, qkv_bias=True, norm_layer=LayerNorm, eta=1.0, tokens_norm=True)
            for _ in range(2)
        )
        self.norm = LayerNorm(dim)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        initialise(self.stages, self.class_blocks)

    def encode(self, x: Tensor, *, kind: str | None = None, share: Share | None = None) -> Encoded:
        """Run the system; see `Native.encode`."""
        x = self.stem(x)
        maps = []
        for i, stage in enumerate(self.stages):
            x = stage.downsample(x)
            if i == self.first_token_stage:
                x = x + self.pos_embed(1, *x.shape[2:])
            for block in stage.blocks:
                x = self.run(block, x)
            maps.append(x)
        if self.dense:
            return Encoded(maps, x)
        size = (x.shape[2], x.shape[3])
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)), dim=1)
        row = None
        for block in self.class_blocks:
            if kind is not None and block is self.class_blocks[-1]:
                row = class_row(block.attn, block.norm1(x))[:, 1:].unflatten(1, size)
            x = self.run(block, x)
        x = self.norm(x)
        return Encoded(maps, as_map(x[:, 1:], *size), x[:, 0], row)
