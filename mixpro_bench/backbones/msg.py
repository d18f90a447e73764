"""MSG-Transformer: windows that exchange information through messenger tokens (arXiv:2105.15168)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import DropPath, LayerNorm2d, Mlp, trunc_normal_
from torch import Tensor, nn

from mixpro_bench.backbones.contract import Share
from mixpro_bench.backbones.native import Encoded, Native
from mixpro_bench.backbones.pieces import (
    MultiHead,
    RelativeBias,
    attend_windows,
    drop_path_rates,
    first_row,
    initialise,
    pad_to,
    partition,
    real,
    unpartition,
)
from mixpro_bench.backbones.pooled import Stage
from mixpro_bench.registry import MODELS


def shuffle(messengers: Tensor, side: int) -> Tensor:
    """Let the windows of a region exchange parts of their messengers (section 3.2 of the paper).

    In a region of S windows, window i sends its j-th of S chunks of channels to window j, where it becomes the i-th
    chunk. Done twice, nothing has changed.

    Args:
        messengers: One token per window, shape (B, rows, columns, C); C is a multiple of S.
        side: Windows per side of a region; divides rows and columns.
    """
    if side == 1:
        return messengers
    size = (messengers.shape[1], messengers.shape[2])
    regions, _ = partition(messengers, side)
    sent = regions.unflatten(3, (side**2, -1)).transpose(2, 3).flatten(3)
    return unpartition(sent, side, size)


class MSGBlock(nn.Module):
    """Attention in windows, each with its messenger; then the messengers are shuffled; then an MLP.

    Args:
        dim: Channels.
        heads: Number of heads.
        window: Side of the windows.
        region: Windows per side of the regions in which messengers are shuffled.
        drop_path: Stochastic depth.
    """

    def __init__(self, dim: int, heads: int, window: int, region: int, drop_path: float) -> None:
        super().__init__()
        self.region = region
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attn = MultiHead(dim, heads)
        self.bias = RelativeBias(window, heads)
        self.to_messenger, self.from_messenger = nn.Parameter(torch.zeros(heads)), nn.Parameter(torch.zeros(heads))
        trunc_normal_(self.to_messenger, std=0.02)
        trunc_normal_(self.from_messenger, std=0.02)
        self.mlp = Mlp(dim, 4 * dim)
        self.drop_path = DropPath(drop_path)

    def full_bias(self) -> Tensor:
        """Return what is added to products, shape (heads, 1 + N, 1 + N), the messenger first."""
        local = self.bias()
        n = local.shape[-1]
        patches = torch.cat((self.to_messenger[:, None, None].expand(-1, n, 1), local), dim=2)
        return torch.cat((self.from_messenger[:, None, None].expand(-1, 1, n + 1), patches), dim=1)

    def forward(
        self, messengers: Tensor, local: Tensor, mask: Tensor | None, read: bool = False
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Run on the messengers and on the tokens of their windows.

        Args:
            messengers: Shape (B, rows, columns, C).
            local: Shape (B, rows * columns, N, C).
            mask: Which tokens of a window are real, its messenger first, bool, shape (rows * columns, 1 + N).
            read: Whether to return how much each token is attended to by its messenger.

        Returns:
            Messengers and tokens of the same shapes; the rows (B, rows * columns, N) or None.
        """
        size = messengers.shape[1:3]
        x = torch.cat((messengers.flatten(1, 2)[:, :, None], local), dim=2)
        q, k, v = self.attn.split(self.norm1(x))
        row = first_row(q, k, mask) if read else None
        x = x + self.drop_path(self.attn.join(attend_windows(q, k, v, bias=self.full_bias(), mask=mask)))
        messengers = shuffle(x[:, :, 0].unflatten(1, size), self.region)
        x = torch.cat((messengers.flatten(1, 2)[:, :, None], x[:, :, 1:]), dim=2)
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x[:, :, 0].unflatten(1, size), x[:, :, 1:], row


class Stem(nn.Module):
    """Patch tokens of stride 4, and what the messenger of each window in a region starts with.

    Args:
        dim: Channels.
        region: Windows per side of a region.
    """

    def __init__(self, dim: int, region: int) -> None:
        super().__init__()
        self.patches = nn.Sequential(nn.Conv2d(3, dim, 7, 4, 2), LayerNorm2d(dim))
        self.messengers = nn.Parameter(torch.zeros(region, region, dim))
        trunc_normal_(self.messengers, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Turn images into a map of patch tokens."""
        return self.patches(pad_to(x, 4))

    def start(self, batch: int, rows: int, columns: int) -> Tensor:
        """Return the messengers of regions in rows and columns, shape (batch, C, windows down, windows across)."""
        return self.messengers.permute(2, 0, 1).repeat(1, rows, columns).expand(batch, -1, -1, -1)


def _sizes(dim: int, heads: int, **more: Any) -> dict[str, Any]:
    return dict(dim=dim, heads=heads, depths=(2, 4, 12, 4), window=7, regions=(4, 4, 2, 1)) | more


@MODELS.register_module()
class MSGTransformer(Native):
    """MSG-Transformer: four stages of strides 4 to 32, the classifier on the messengers.

    Importance is the row of each window's messenger in the last block. At the size it is built for, the last stage is
    one window, so its messenger is the readout; on larger images the windows' rows stand side by side.

    Windows come in whole regions at every stage, which is images of a multiple of 224 px. Others are filled up: what
    is not image is masked as a key in every window. Windows without any image still take part in the exchange.
    """

    variants = {
        "msg_tiny": _sizes(64, 2),
        "msg_test": _sizes(16, 1, depths=(1, 1, 1, 4), window=2, img_size=64),
    }
    readout = ("norm",)
    importance_kinds = ("class_attn",)

    def build(  # type: ignore[override]
        self,
        *,
        drop_path_rate: float,
        img_size: int,
        dim: int,
        heads: int,
        depths: Sequence[int],
        window: int,
        regions: Sequence[int],
    ) -> None:
        """Make the modules.

        Args:
            drop_path_rate: Stochastic depth of the last block.
            img_size: Unused: nothing depends on it.
            dim: Channels of the first stage; they double from stage to stage.
            heads: Heads of the first stage; they double, too.
            depths: Blocks per stage.
            window: Side of the windows.
            regions: For each stage, windows per side of a region.
        """
        self.patch_size = 4
        self.window = window
        self.stage_channels = [dim * 2**i for i in range(len(depths))]
        self.stage_strides = [4 * 2**i for i in range(len(depths))]
        self.embed_dim = self.stage_channels[-1]
        # Windows per side that hold whole regions at every stage, counted at the first.
        self.whole = math.lcm(*(side * 2**i for i, side in enumerate(regions)))
        self.stem = Stem(dim, regions[0])
        rates = drop_path_rates(drop_path_rate, depths)
        self.stages = nn.ModuleList()
        for i, c in enumerate(self.stage_channels):
            lead = nn.Sequential(nn.Conv2d(c // 2, c, 3, 2, 1), LayerNorm2d(c)) if i else None
            blocks = (MSGBlock(c, heads * 2**i, window, regions[i], rate) for rate in rates[i])
            self.stages.append(Stage(lead, blocks))
        self.norm = nn.LayerNorm(self.embed_dim, eps=1e-6)
        initialise(self.stages)

    def cut(self, x: Tensor, windows: int) -> tuple[Tensor, Tensor | None]:
        """Cut a map (B, C, h, w) into windows, filled up to multiples of so many windows per side.

        Returns:
            Windows (B, windows, N, C); which tokens are real, the messenger first, bool, (windows, 1 + N), or None.
        """
        multiple = windows * self.window
        inside = real((x.shape[2], x.shape[3]), multiple, x.device)
        local, _ = partition(pad_to(x, multiple).permute(0, 2, 3, 1), self.window)
        if inside is None:
            return local, None
        mask, _ = partition(inside[None, :, :, None], self.window)
        return local, F.pad(mask[0, :, :, 0], (1, 0), value=True)

    def join(self, local: Tensor, size: tuple[int, int], windows: int) -> Tensor:
        """Undo `cut`: windows to a map (B, C, h, w) of the given size."""
        multiple = windows * self.window
        h, w = size
        x = unpartition(local, self.window, (h + -h % multiple, w + -w % multiple))
        return x[:, :h, :w].permute(0, 3, 1, 2)

    def encode(self, x: Tensor, *, kind: str | None = None, share: Share | None = None) -> Encoded:
        """Run the system; see `Native.encode`."""
        x = self.stem(x)
        pixels = self.whole * self.window
        regions = self.whole // self.stem.messengers.shape[0]
        down, across = (-(-side // pixels) * regions for side in x.shape[2:])
        messengers = self.stem.start(len(x), down, across)
        last = self.stages[-1].blocks[-1]
        maps, row = [], None
        for i, stage in enumerate(self.stages):
            x, messengers = stage.downsample(x), stage.downsample(messengers)
            windows, size = self.whole >> i, (x.shape[2], x.shape[3])
            local, mask = self.cut(x, windows)
            messengers = messengers.permute(0, 2, 3, 1)
            for block in stage.blocks:
                messengers, local, row = self.run(block, messengers, local, mask, kind is not None and block is last)
            x, messengers = self.join(local, size, windows), messengers.permute(0, 3, 1, 2)
            maps.append(x)
        if self.dense:
            return Encoded(maps, x)
        tokens = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        readout = self.norm(messengers.permute(0, 2, 3, 1)).mean(dim=(1, 2))
        return Encoded(maps, tokens, readout, None if row is None else self.join(row[..., None], size, windows)[:, 0])
