"""Pieces that several of the systems written here share: padding, windows, tables, class attention."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.layers import calculate_drop_path_rates, gen_relative_position_index, trunc_normal_
from torch import Tensor, nn

from mixpro_bench.backbones.attention import attention_row

Pair = int | tuple[int, int]


def pair(value: Pair) -> tuple[int, int]:
    """Return (rows, columns); one number stands for both."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def drop_path_rates(rate: float, depths: Sequence[int]) -> list[list[float]]:
    """Return the stochastic depth of every block of every stage, growing linearly from 0 to ``rate``."""
    return calculate_drop_path_rates(rate, list(depths), stagewise=True)


def pad_to(x: Tensor, multiple: Pair, *, channels_last: bool = False) -> Tensor:
    """Pad with zeros at the bottom and on the right, up to the next multiple.

    Args:
        x: Maps, shape (B, C, h, w), or (B, h, w, C) with ``channels_last``.
        multiple: What height and width are to be multiples of.
        channels_last: Where the channels are.
    """
    rows, columns = pair(multiple)
    h, w = x.shape[1:3] if channels_last else x.shape[2:4]
    below, right = -h % rows, -w % columns
    if not (below or right):
        return x
    return F.pad(x, (0, 0, 0, right, 0, below) if channels_last else (0, right, 0, below))


def real(size: tuple[int, int], multiple: Pair, device: torch.device) -> Tensor | None:
    """Return which cells `pad_to` did not add, bool, shape (h', w'), or None if it added none."""
    rows, columns = pair(multiple)
    h, w = size
    below, right = -h % rows, -w % columns
    if not (below or right):
        return None
    inside = torch.arange(h + below, device=device)[:, None] < h
    return inside & (torch.arange(w + right, device=device) < w)


def partition(x: Tensor, window: Pair) -> tuple[Tensor, Tensor | None]:
    """Cut maps into windows, padded at the bottom and on the right where they do not divide.

    Args:
        x: Maps, shape (B, h, w, C).
        window: Height and width of a window.

    Returns:
        Windows in raster order, shape (B, windows, tokens, C); which tokens are real, bool, shape (windows, tokens), or
        None if all are. Every window has a real token.
    """
    rows, columns = pair(window)
    mask = real((x.shape[1], x.shape[2]), (rows, columns), x.device)
    x = pad_to(x, (rows, columns), channels_last=True)
    cut = _cut(x, rows, columns)
    return cut, None if mask is None else _cut(mask[None, :, :, None], rows, columns)[0, :, :, 0]


def unpartition(windows: Tensor, window: Pair, size: tuple[int, int]) -> Tensor:
    """Undo `partition`: windows (B, windows, tokens, C) to maps (B, h, w, C), cropped to ``size``."""
    rows, columns = pair(window)
    h, w = size
    down, across = -(-h // rows), -(-w // columns)
    b, _, _, c = windows.shape
    x = windows.reshape(b, down, across, rows, columns, c).transpose(2, 3)
    return x.reshape(b, down * rows, across * columns, c)[:, :h, :w]


def _cut(x: Tensor, rows: int, columns: int) -> Tensor:
    b, h, w, c = x.shape
    x = x.reshape(b, h // rows, rows, w // columns, columns, c).transpose(2, 3)
    return x.reshape(b, h // rows * (w // columns), rows * columns, c)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Turn (..., N, heads * d) into (..., heads, N, d)."""
    return x.unflatten(-1, (heads, -1)).transpose(-3, -2)


def join_heads(x: Tensor) -> Tensor:
    """Turn (..., heads, N, d) into (..., N, heads * d)."""
    return x.transpose(-3, -2).flatten(-2)


def attend_windows(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Run fused attention in every window.

    Args:
        q: Queries, shape (B, windows, heads, Nq, d).
        k: Keys, shape (B, windows, heads, Nk, d).
        v: Values, shape (B, windows, heads, Nk, d).
        bias: Added to the scaled products, shape (heads, Nq, Nk).
        mask: Which keys are real, bool, shape (windows, Nk), or which keys a query may see, (windows, Nq, Nk); every
            query needs one.
        scale: Factor on the products, d ** -0.5 by default.
        dropout: Dropout of the attention weights.

    Returns:
        Shape (B, windows, heads, Nq, d).
    """
    b, windows, heads = q.shape[:3]
    if mask is None:
        # Windows are as good as images: bias is broadcast over both.
        q, k, v = (x.flatten(0, 1) for x in (q, k, v))
        added = None if bias is None else bias[None].to(q.dtype)
    else:
        # Windows differ in what is real, images do not: windows go with the heads, so that no mask is made per image.
        seen = mask[:, None] if mask.ndim == 2 else mask
        added = additive(seen, q.dtype)[:, None].expand(-1, heads, q.shape[-2], -1)
        added = (added if bias is None else added + bias.to(q.dtype)).reshape(1, windows * heads, *added.shape[-2:])
        q, k, v = (x.flatten(1, 2) for x in (q, k, v))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=added, dropout_p=dropout, scale=scale)
    return out.reshape(b, windows, heads, *out.shape[-2:])


@torch.no_grad()
def first_row(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return how much each token of a window is attended to by the window's first one, averaged over heads.

    Args:
        q: Queries, shape (B, windows, heads, 1 + N, d).
        k: Keys, same shape.
        mask: Which keys are real, bool, shape (windows, 1 + N).

    Returns:
        float32, shape (B, windows, N); a row of the softmax without the first token's own column.
    """
    with torch.autocast(q.device.type, enabled=False):
        scores = q[..., :1, :].float() * q.shape[-1] ** -0.5 @ k.float().transpose(-2, -1)
        if mask is not None:
            scores = scores + additive(mask, scores.dtype)[:, None, None]
        return scores.softmax(dim=-1)[..., 0, 1:].mean(dim=2)


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn a mask of real keys into what is added to products: 0, and minus infinity where nothing is real."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, float("-inf"))


def resize_table(table: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample a learned table to another grid, bicubically and in float32.

    Args:
        table: Shape (..., h, w).
        size: New h and w; the same gives the table itself.
    """
    if tuple(table.shape[-2:]) == tuple(size):
        return table
    lead = table.shape[:-2]
    grid = table.reshape(1, -1, *table.shape[-2:]).float()
    return F.interpolate(grid, size=size, mode="bicubic", align_corners=False).reshape(*lead, *size).to(table.dtype)


def sincos_position(dim: int, size: tuple[int, int], device: torch.device | None = None) -> Tensor:
    """Return fixed sine and cosine positions of a grid, float32, shape (1, dim, h, w).

    As in MAE (He et al., arXiv:2111.06377): the first half of the channels tells the column, the second the row; in
    each, sines of ``dim / 4`` frequencies from 1 to 1/10000 come before the cosines.
    """
    h, w = size
    quarter = dim // 4
    omega = 10000 ** -(torch.arange(quarter, dtype=torch.float32, device=device) / quarter)

    def waves(n: int) -> Tensor:
        angles = torch.arange(n, dtype=torch.float32, device=device)[:, None] * omega
        return torch.cat((angles.sin(), angles.cos()), dim=1)

    columns, rows = waves(w)[None].expand(h, -1, -1), waves(h)[:, None].expand(-1, w, -1)
    return torch.cat((columns, rows), dim=2).permute(2, 0, 1)[None]


class PatchConv(nn.Module):
    """A convolution over patches that do not overlap; maps are padded with zeros to whole patches.

    Args:
        in_channels: Channels of the map.
        out_channels: Channels of the patches.
        patch: Side of a patch.
    """

    def __init__(self, in_channels: int, out_channels: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.conv = nn.Conv2d(in_channels, out_channels, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (B, C, h, w) into (B, C', ceil(h / patch), ceil(w / patch))."""
        return self.conv(pad_to(x, self.patch))


class RelativeBias(nn.Module):
    """A learned number per head and offset between two tokens of a window (Swin, arXiv:2103.14030, section 3.2).

    Args:
        window: Height and width of the window it is built for.
        heads: Number of heads.
    """

    def __init__(self, window: Pair, heads: int) -> None:
        super().__init__()
        self.window = pair(window)
        rows, columns = (2 * side - 1 for side in self.window)
        self.table = nn.Parameter(torch.zeros(heads, rows, columns))
        trunc_normal_(self.table, std=0.02)
        self.register_buffer("index", gen_relative_position_index(self.window), persistent=False)

    def forward(self, window: Pair | None = None) -> Tensor:
        """Return the bias, shape (heads, N, N); the table is resized for a window other than its own."""
        window = self.window if window is None else pair(window)
        if window == self.window:
            return self.table.flatten(1)[:, self.index]
        table = resize_table(self.table, (2 * window[0] - 1, 2 * window[1] - 1))
        return table.flatten(1)[:, gen_relative_position_index(window, device=self.table.device)]


class MultiHead(nn.Module):
    """What stands before and behind attention of several heads: queries, keys and values, and the way back.

    Args:
        dim: Channels.
        heads: Number of heads.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Turn tokens (..., N, C) into queries, keys and values, each (..., heads, N, d)."""
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        return q, k, v

    def join(self, x: Tensor) -> Tensor:
        """Turn attended values (..., heads, N, d) into tokens (..., N, C)."""
        return self.proj(join_heads(x))


class ClassAttention(nn.Module):
    """A class token's attention to itself and to all patch tokens (CaiT, arXiv:2103.17239, section 3).

    Args:
        dim: Channels.
        heads: Number of heads.
        qkv_bias: Whether queries, keys and values have a bias.
    """

    def __init__(self, dim: int, heads: int, qkv_bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim, bias=qkv_bias)
        self.kv = nn.Linear(dim, 2 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, read: bool = False) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            x: Tokens, the class token first, shape (B, 1 + N, C).
            read: Whether to return the row of the attention matrix.

        Returns:
            What the class token becomes, shape (B, 1, C); how much each patch token is attended to, averaged over
            heads, float32 and detached, shape (B, N), or None.
        """
        q = split_heads(self.q(x[:, :1]), self.heads)
        k, v = (split_heads(part, self.heads) for part in self.kv(x).chunk(2, dim=-1))
        row = attention_row(q, k, q.shape[-1] ** -0.5, "cls", prefix=1) if read else None
        return self.proj(join_heads(F.scaled_dot_product_attention(q, k, v))), row


def initialise(*modules: nn.Module) -> None:
    """Start linear layers as transformers do: weights normal with standard deviation 0.02, cut at 2, biases zero."""
    for parent in modules:
        for module in parent.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
