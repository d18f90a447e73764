"""Reading attention beside the fused kernel: nothing is un-fused, nothing is left behind.

A row of the attention matrix costs one small product with the keys at hand. The product of the whole matrix with one
number per token, as TL-Align needs it, rides through the fused kernel as extra value channels.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from timm.layers import Attention
from timm.models.cait import ClassAttn
from torch import Tensor, nn

Read = Literal["cls", "mean"]

# The fused kernels want queries, keys and values of one width, a multiple of 8.
EXTRA_CHANNELS = 8


@torch.no_grad()
def attention_row(q: Tensor, k: Tensor, scale: float, read: Read, prefix: int, bias: Tensor | None = None) -> Tensor:
    """Return how much each patch token is attended to, averaged over heads.

    Args:
        q: Queries, shape (B, heads, prefix + N, d).
        k: Keys, same shape.
        scale: Factor on the products, d ** -0.5.
        read: ``"cls"``: by the class token, the first one. ``"mean"``: by the patch tokens, on average
            (SMMix, deit.py:290).
        prefix: Number of tokens before the patch tokens.
        bias: Added to the scaled products, shape (heads, prefix + N, prefix + N); minus infinity hides a key.

    Returns:
        float32, shape (B, N); a row of the softmax without the columns of the prefix tokens, so sums are at most one.
    """
    with torch.autocast(q.device.type, enabled=False):
        if read == "cls":
            scores = q[:, :, :1].float() * scale @ k.float().transpose(-2, -1)
            weights = (scores if bias is None else scores + bias[:, :1].float()).softmax(dim=-1)
            return weights[..., prefix:].mean(dim=(1, 2))
        # Head by head: all heads' N x N matrices at once would be the largest tensor of the whole step.
        rows = []
        for head, (query, key) in enumerate(zip(q[:, :, prefix:].unbind(1), k.unbind(1), strict=True)):
            scores = query.float() * scale @ key.float().transpose(-2, -1)
            scores = scores if bias is None else scores + bias[head, prefix:].float()
            rows.append(scores.softmax(dim=-1)[..., prefix:].mean(dim=1))
        return torch.stack(rows).mean(dim=0)


def carry(
    q: Tensor, k: Tensor, v: Tensor, share: Tensor, *, scale: float, dropout: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Run fused attention, and multiply one number per key by the attention matrix on the way.

    Args:
        q: Queries, shape (B, heads, Nq, d).
        k: Keys, shape (B, heads, Nk, d).
        v: Values, shape (B, heads, Nk, d).
        share: One number per key, shape (B, Nk).
        scale: Factor on the products.
        dropout: Attention dropout of the features; it does not touch the share.

    Returns:
        The attended values (B, heads, Nq, d); ``S @ share`` (B, Nq), float32 and detached, where S is the attention
        matrix averaged over heads.
    """
    if dropout:
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scale)
        return out, carry_alone(q, k, share, scale=scale)
    d = v.shape[-1]
    rider = share.to(v.dtype)[:, None, :, None].expand(*v.shape[:-1], EXTRA_CHANNELS)
    q, k = F.pad(q, (0, EXTRA_CHANNELS)), F.pad(k, (0, EXTRA_CHANNELS))
    wide = F.scaled_dot_product_attention(q, k, torch.cat((v, rider), dim=-1), scale=scale)
    return wide[..., :d], wide[..., d].detach().float().mean(dim=1)


@torch.no_grad()
def carry_alone(q: Tensor, k: Tensor, share: Tensor, *, scale: float) -> Tensor:
    """Return ``S @ share`` of `carry` in a call of its own."""
    rider = share.to(q.dtype)[:, None, :, None].expand(k.shape)
    return F.scaled_dot_product_attention(q, k, rider, scale=scale)[..., 0].float().mean(dim=1)


def queries_keys_values_with_share(attn: Attention, x: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Project tokens as ``attn.qkv`` does, with room for the share, which is what `carry` makes of three copies.

    The rows of zeros are in the weight, so that the projection itself leaves the room. The share is written where the
    values have it: past autograd, for no gradient reaches a channel that no output uses.

    Args:
        attn: The layer, without norms of queries and keys.
        x: Tokens, shape (B, N, C).
        share: One number per token, shape (B, N).

    Returns:
        Queries, keys and values, each (B, heads, N, d + 8); the share is channel d of the values.
    """
    b, n, c = x.shape
    heads, d = attn.num_heads, attn.head_dim
    weight = F.pad(attn.qkv.weight.view(3, heads, d, c), (0, 0, 0, EXTRA_CHANNELS)).flatten(0, 2)
    bias = attn.qkv.bias
    if bias is not None:
        bias = F.pad(bias.view(3, heads, d), (0, EXTRA_CHANNELS)).flatten()
    qkv = F.linear(x, weight, bias).view(b, n, 3, heads, d + EXTRA_CHANNELS)
    with torch.no_grad():
        qkv.detach()[:, :, 2, :, d] = share[:, :, None]
    q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    return q, k, v


def attend(
    attn: Attention, x: Tensor, *, read: Read | None = None, prefix: int = 1, share: Tensor | None = None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Do what ``timm.layers.Attention.forward`` does, and read from it.

    Args:
        attn: The layer.
        x: Tokens, shape (B, prefix + N, C).
        read: Whose row of the attention matrix to return, if any.
        prefix: Number of tokens before the patch tokens.
        share: One number per token, shape (B, prefix + N).

    Returns:
        The layer's output (B, prefix + N, C); the row (B, N) or None; ``S @ share`` (B, prefix + N) or None, where S is
        the attention matrix averaged over heads. Row and share are detached.
    """
    b, n, _ = x.shape
    dropout = attn.attn_drop.p if attn.training else 0.0
    mixed = None
    normed = not (isinstance(attn.q_norm, nn.Identity) and isinstance(attn.k_norm, nn.Identity))
    if share is None or normed or dropout:
        qkv = attn.qkv(x).reshape(b, n, 3, attn.num_heads, attn.head_dim).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        q, k = attn.q_norm(q), attn.k_norm(k)
        if share is None:
            out = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=attn.scale)
        else:
            out, mixed = carry(q, k, v, share, scale=attn.scale, dropout=dropout)
    else:
        q, k, v = queries_keys_values_with_share(attn, x, share)
        wide = F.scaled_dot_product_attention(q, k, v, scale=attn.scale)
        out, mixed = wide[..., : attn.head_dim], wide[..., attn.head_dim].detach().float().mean(dim=1)
    row = attention_row(q, k, attn.scale, read, prefix) if read else None
    out = attn.norm(out.transpose(1, 2).reshape(b, n, attn.attn_dim))
    if attn.gate is not None:
        out = out * attn.gate(x).sigmoid()
    return attn.proj_drop(attn.proj(out)), row, mixed


@torch.no_grad()
def class_row(attn: ClassAttn, x: Tensor) -> Tensor:
    """Return the class token's row of a class-attention layer (CaiT, XCiT), averaged over heads.

    Queries and keys are computed once more, of one layer whose only query is the class token: cheaper than to know
    the layers that contain it.

    Args:
        attn: The layer.
        x: Its normalised input, class token first, shape (B, 1 + N, C).

    Returns:
        float32, rows sum to one, shape (B, 1 + N).
    """
    b, n, c = x.shape
    q = attn.q(x[:, :1]).reshape(b, 1, attn.num_heads, -1).transpose(1, 2)
    k = attn.k(x).reshape(b, n, attn.num_heads, c // attn.num_heads).transpose(1, 2)
    return attention_row(q, k, attn.scale, "cls", prefix=0)
