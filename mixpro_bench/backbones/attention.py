"""Reading attention beside the fused kernel: nothing is un-fused, nothing is left behind.

`attend` does what ``timm.layers.Attention.forward`` does, and returns what was asked for next to the result. A row of
the attention matrix costs one small product with the keys at hand. The product of the whole matrix with one vector per
image, as TL-Align needs it, rides through the fused kernel as extra value channels.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from timm.layers import Attention
from torch import Tensor

# The fused kernels want queries, keys and values of one width, a multiple of 8.
EXTRA_CHANNELS = 8


@torch.no_grad()
def attention_row(q: Tensor, k: Tensor, scale: float, read: Literal["cls", "mean"], prefix: int) -> Tensor:
    """Return how much each patch token is attended to, averaged over heads.

    Args:
        q: Queries, shape (B, heads, 1 + N, d).
        k: Keys, same shape.
        scale: Factor on the products, d ** -0.5.
        read: ``"cls"``: by the class token, the first one. ``"mean"``: by the patch tokens, on average
            (SMMix, deit.py:290).
        prefix: Number of tokens before the patch tokens.

    Returns:
        float32, shape (B, N); a row of the softmax without the columns of the prefix tokens, so sums are below one.
    """
    with torch.autocast(q.device.type, enabled=False):
        query = q[:, :, :1] if read == "cls" else q[:, :, prefix:]
        weights = (query.float() * scale @ k.float().transpose(-2, -1)).softmax(dim=-1)
        return weights[..., prefix:].mean(dim=(1, 2))


def attend(
    attn: Attention,
    x: Tensor,
    *,
    read: Literal["cls", "mean"] | None = None,
    prefix: int = 1,
    share: Tensor | None = None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Run one attention layer, and read from it.

    Args:
        attn: The layer.
        x: Tokens, shape (B, 1 + N, C).
        read: Whose row of the attention matrix to return, if any.
        prefix: Number of tokens before the patch tokens.
        share: One number per token, shape (B, 1 + N).

    Returns:
        The layer's output (B, 1 + N, C); the row (B, N) or None; ``S @ share`` (B, 1 + N) or None, where S is the
        attention matrix averaged over heads. Row and share are detached.
    """
    b, n, _ = x.shape
    qkv = attn.qkv(x).reshape(b, n, 3, attn.num_heads, attn.head_dim).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.unbind(0)
    q, k = attn.q_norm(q), attn.k_norm(k)
    row = attention_row(q.detach(), k.detach(), attn.scale, read, prefix) if read else None
    dropout = attn.attn_drop.p if attn.training else 0.0
    mixed_share = None
    if share is None:
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=attn.scale)
    elif dropout:
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=attn.scale)
        mixed_share = _share_alone(q, k, share, attn.scale)
    else:
        rider = share.to(v.dtype)[:, None, :, None].expand(b, attn.num_heads, n, EXTRA_CHANNELS)
        q, k = F.pad(q, (0, EXTRA_CHANNELS)), F.pad(k, (0, EXTRA_CHANNELS))
        wide = F.scaled_dot_product_attention(q, k, torch.cat((v, rider), dim=-1), scale=attn.scale)
        out = wide[..., : attn.head_dim]
        mixed_share = wide[..., attn.head_dim].detach().float().mean(dim=1)
    out = attn.norm(out.transpose(1, 2).reshape(b, n, attn.attn_dim))
    if attn.gate is not None:
        out = out * attn.gate(x).sigmoid()
    return attn.proj_drop(attn.proj(out)), row, mixed_share


@torch.no_grad()
def _share_alone(q: Tensor, k: Tensor, share: Tensor, scale: float) -> Tensor:
    """Return ``S @ share`` in a call of its own: attention dropout must not touch labels."""
    b, heads, n, d = q.shape
    rider = share.to(q.dtype)[:, None, :, None].expand(b, heads, n, d)
    return F.scaled_dot_product_attention(q, k, rider, scale=scale)[..., 0].float().mean(dim=1)
