"""MixMIM's encoder (also MixMAE): large windows that do not shift, four stages (arXiv:2205.13137).

It is pretrained on mixed images, whose parts must not see each other: `MixMIM.trunk` takes the mask of the mix.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import DropPath, LayerNorm2d, Mlp
from timm.models.swin_transformer import PatchMerging
from torch import Tensor, nn

from mixpro_bench.backbones.attention import attention_row
from mixpro_bench.backbones.contract import Need, Output, Share
from mixpro_bench.backbones.native import Encoded, Native
from mixpro_bench.backbones.pieces import (
    MultiHead,
    PatchConv,
    RelativeBias,
    attend_windows,
    drop_path_rates,
    initialise,
    partition,
    sincos_position,
    unpartition,
)
from mixpro_bench.backbones.pooled import Stage
from mixpro_bench.errors import UserError
from mixpro_bench.registry import MODELS


class WindowBlock(nn.Module):
    """Attention in windows with a relative position bias, then an MLP.

    Args:
        dim: Channels.
        heads: Number of heads.
        window: Side of the windows.
        drop_path: Stochastic depth.
    """

    def __init__(self, dim: int, heads: int, window: int, drop_path: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attn = MultiHead(dim, heads)
        self.bias = RelativeBias(window, heads)
        self.mlp = Mlp(dim, 4 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, mask: Tensor | None, only: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Run on windows.

        Args:
            x: Tokens, shape (B, windows, N, C).
            mask: What tokens may see, as `attend_windows` takes it.
            only: Real tokens of a single window, as indices (n,); asks how much each is attended to by all of them.

        Returns:
            Tokens of the same shape; the mean row (B, n) or None.
        """
        q, k, v = self.attn.split(self.norm1(x))
        bias = self.bias()
        row = None
        if only is not None:
            seen = (y[:, 0].index_select(2, only) for y in (q, k))
            part = bias.index_select(1, only).index_select(2, only)
            row = attention_row(*seen, q.shape[-1] ** -0.5, "mean", prefix=0, bias=part)
        x = x + self.drop_path(self.attn.join(attend_windows(q, k, v, bias=bias, mask=mask)))
        return x + self.drop_path(self.mlp(self.norm2(x))), row


def same_image(mask: Tensor, size: tuple[int, int], window: int) -> Tensor:
    """Return which tokens of a window show the same image of a mix, bool, shape (windows, N, N).

    Args:
        mask: Whether a cell shows the other image, bool, shape (rows, columns); repeated for finer maps.
        size: Height and width of the map that is cut into windows.
        window: Side of the windows; what they hang over is a third image.
    """
    h, w = size
    image = F.interpolate(mask[None, None].float(), size=size, mode="nearest")[0, 0]
    padded = F.pad(image, (0, -w % window, 0, -h % window), value=2.0)
    cut, _ = partition(padded[None, :, :, None], window)
    return cut[0] == cut[0].transpose(1, 2)


def _sizes(dim: int, depths: Sequence[int], heads: int, **more: Any) -> dict[str, Any]:
    return dict(dim=dim, depths=depths, heads=heads, windows=(14, 14, 14, 7)) | more


@MODELS.register_module()
class MixMIM(Native):
    """MixMIM's encoder with a classifier on the mean of its normalised tokens.

    Importance is the mean row of the last block, where the last stage is one window: up to the size it is built for, if
    that is 32 times the last window. ``mixmim_tiny`` is this package's own size, about Swin-T's; none was published.
    """

    variants = {
        "mixmim_base": _sizes(128, (2, 2, 18, 2), 4),
        "mixmim_tiny": _sizes(96, (2, 2, 6, 2), 3),
        "mixmim_test": _sizes(16, (1, 1, 1, 2), 1, windows=(4, 4, 4, 2), img_size=64),
    }
    readout = ("norm",)

    def build(  # type: ignore[override]
        self,
        *,
        drop_path_rate: float,
        img_size: int,
        dim: int,
        depths: Sequence[int],
        heads: int,
        windows: Sequence[int],
    ) -> None:
        """Make the modules.

        Args:
            drop_path_rate: Stochastic depth of the last block.
            img_size: Side of the images; it decides whether the last stage is one window.
            dim: Channels of the first stage; they double from stage to stage.
            depths: Blocks per stage.
            heads: Heads of the first stage; they double, too.
            windows: Side of the windows per stage.
        """
        self.patch_size = 4
        self.windows = tuple(windows)
        self.stage_channels = [dim * 2**i for i in range(len(depths))]
        self.stage_strides = [4 * 2**i for i in range(len(depths))]
        self.embed_dim = self.stage_channels[-1]
        whole = -(-img_size // self.stage_strides[-1]) <= windows[-1]
        self.importance_kinds = ("mean_attn", "cam") if whole else ("cam",)
        self.stem = nn.Sequential(PatchConv(3, dim, 4), LayerNorm2d(dim))
        rates = drop_path_rates(drop_path_rate, depths)
        self.stages = nn.ModuleList()
        for i, c in enumerate(self.stage_channels):
            lead = PatchMerging(c // 2, norm_layer=partial(nn.LayerNorm, eps=1e-6)) if i else None
            self.stages.append(Stage(lead, (WindowBlock(c, heads * 2**i, windows[i], rate) for rate in rates[i])))
        self.norm = nn.LayerNorm(self.embed_dim, eps=1e-6)
        initialise(self.stages)

    def classify(self, x: Tensor, need: Need, share: Share | None) -> Output:
        """Return logits and what ``need`` asks for; see `Native.classify`.

        Raises:
            UserError: If attention is asked for and the last stage is more than one window for images of this size.
        """
        kind = self.importance_kinds[0] if need.importance == "auto" else need.importance
        side = self.windows[-1] * self.stage_strides[-1]
        if kind == "mean_attn" and max(x.shape[2:]) > side:
            h, w = x.shape[2:]
            raise UserError(
                f"backbone {self.name} reads attention where its last stage is one window, in images up to {side} px, "
                f"not {h} x {w}: ask for importance 'cam'"
            )
        return super().classify(x, need, share)

    def trunk(self, x: Tensor, mask: Tensor | None = None, read: bool = False) -> tuple[list[Tensor], Tensor | None]:
        """Run all stages, of single images or of images mixed with those of the reversed batch.

        Args:
            x: Images, shape (B, 3, H, W).
            mask: Where the tokens of image B - 1 - b take the place of image b's, bool, shape (rows, columns) of the
                last stage; no token sees one of the other image then.
            read: Whether to return the mean row of the last block.

        Returns:
            The map of every stage (B, C_i, h_i, w_i); the row (B, h, w) or None.
        """
        x = self.stem(x)
        if mask is not None:
            other = F.interpolate(mask[None, None].float(), size=x.shape[2:], mode="nearest") > 0.5
            x = torch.where(other, x.flip(0), x)
        x = (x + sincos_position(x.shape[1], (x.shape[2], x.shape[3]), x.device)).permute(0, 2, 3, 1)
        maps, row = [], None
        for window, stage in zip(self.windows, self.stages, strict=True):
            x = stage.downsample(x)
            size = (x.shape[1], x.shape[2])
            tokens, seen = partition(x, window)
            if mask is not None:
                seen = same_image(mask, size, window)
            for block in stage.blocks:
                only = None
                if read and block is self.stages[-1].blocks[-1]:
                    cells = torch.arange(window * size[0], device=x.device).reshape(size[0], window)
                    only = cells[:, : size[1]].flatten()
                tokens, row = self.run(block, tokens, seen, only)
            x = unpartition(tokens, window, size)
            maps.append(x.permute(0, 3, 1, 2))
        return maps, None if row is None else row.unflatten(1, size)

    def encode(self, x: Tensor, *, kind: str | None = None, share: Share | None = None) -> Encoded:
        """Run the system; see `Native.encode`."""
        maps, row = self.trunk(x, read=kind is not None)
        if self.dense:
            return Encoded(maps, maps[-1])
        tokens = self.norm(maps[-1].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return Encoded(maps, tokens, tokens.mean(dim=(2, 3)), row)
