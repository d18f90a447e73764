"""Swin Transformers of timm (``timm.models.SwinTransformer``): attention in shifted windows, four stages.

Importance and share of A are this package's own here: no released mixing method has code for them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.models.swin_transformer import SwinTransformer, SwinTransformerBlock, WindowAttention, window_reverse
from timm.models.swin_transformer import window_partition as partition
from torch import Tensor, nn

from mixpro_bench.backbones.contract import Need, Output, Share
from mixpro_bench.backbones.family import Family, input_share


def attend_window(
    attn: WindowAttention, x: Tensor, mask: Tensor | None, share: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Do what ``WindowAttention.forward`` does un-fused (as timm runs it by default), and read from it.

    Args:
        attn: The layer.
        x: Tokens of the windows, shape (B * windows, N, C).
        mask: What timm adds to the products of a shifted window, shape (windows, N, N), or None.
        share: Numbers to carry, shape (B * windows, N, channels), or None.

    Returns:
        The layer's output; how much each token is attended to by its window, shape (B * windows, N); ``S @ share``,
        where S is the attention matrix averaged over heads, or None. The last two are float32 and detached.
    """
    b, n, _ = x.shape
    q, k, v = attn.qkv(x).reshape(b, n, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
    scores = q * attn.scale @ k.transpose(-2, -1) + attn._get_rel_pos_bias()
    if mask is not None:
        scores = scores.view(-1, mask.shape[0], attn.num_heads, n, n) + mask.unsqueeze(1).unsqueeze(0)
        scores = scores.view(-1, attn.num_heads, n, n)
    weights = attn.softmax(scores)
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        mean = weights.mean(dim=1, dtype=torch.float32)
        mixed = None if share is None else mean @ share
    out = (attn.attn_drop(weights) @ v).transpose(1, 2).reshape(b, n, -1)
    return attn.proj_drop(attn.proj(out)), mean.mean(dim=1), mixed


def read_block(block: SwinTransformerBlock, x: Tensor, share: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Run one block and read from its attention.

    The share takes the way of the features: shifted, padded, cut into windows, and back. Tokens of padding have none,
    so they are left out of its mean. One half stands for the residual branch.

    Args:
        block: The block.
        x: Tokens, shape (B, h, w, C).
        share: Share of A per token, shape (B, h, w), or None.

    Returns:
        The block's output (B, h, w, C); how much each token is attended to within its window (B, h, w); the share
        (B, h, w) or None.
    """
    h, w = x.shape[1:3]
    window, shift = block.window_size, block.shift_size
    pad = (0, 0, 0, -w % window[1], 0, -h % window[0])

    def cut(value: Tensor) -> Tensor:
        if any(shift):
            value = torch.roll(value, (-shift[0], -shift[1]), dims=(1, 2))
        return partition(F.pad(value, pad), window).flatten(1, 2)

    def join(value: Tensor) -> Tensor:
        value = window_reverse(value.unflatten(1, window), window, h + pad[5], w + pad[3])[:, :h, :w].contiguous()
        return torch.roll(value, shift, dims=(1, 2)) if any(shift) else value

    mask = block.attn_mask if not block.dynamic_mask else block.get_attn_mask(F.pad(x, pad))
    weighed = None if share is None else cut(torch.stack((share, torch.ones_like(share)), dim=-1))
    out, row, mixed = attend_window(block.attn, cut(block.norm1(x)), mask, weighed)
    x = x + block.drop_path1(join(out))
    x = x + block.drop_path2(block.mlp(block.norm2(x)))
    if mixed is not None:
        mixed = join(mixed)
        mixed = (mixed[..., 0] / mixed[..., 1] + share) / 2
    return x, join(row[..., None])[..., 0], mixed


def merge(share: Tensor) -> Tensor:
    """Average a share (B, h, w) over the tokens that patch merging joins; returns (B, ceil(h / 2), ceil(w / 2))."""
    return F.avg_pool2d(share[:, None], 2, ceil_mode=True)[:, 0]


class Swin(Family):
    """How a Swin of timm meets the backbone contract; see `Family`.

    Importance is the mean row of the last block, where the last stage is one window at the image size the model is
    built for (7 x 7 at 224 px): then it attends globally. Where it is not, attention says nothing about how windows
    compare, and class activation maps are all there is. A classifier takes images of ``img_size`` only.
    """

    def __init__(self, model: SwinTransformer, dense: bool) -> None:
        super().__init__(model, dense)
        model.patch_embed.dynamic_img_pad = dense
        self.patch_size = model.patch_embed.patch_size[0]
        self.embed_dim = model.num_features
        last = model.layers[-1].blocks[-1]
        whole = tuple(last.window_size) == tuple(last.input_resolution) and not any(last.shift_size)
        self.gives_share = model.global_pool == "avg"
        self.importance_kinds = (*(("mean_attn",) if whole else ()), *(("cam",) if self.gives_share else ()))

    @staticmethod
    def arguments(dense: bool) -> dict[str, object]:
        """Allow any image size in dense use; else window masks are made once and not at every step."""
        return dict(strict_img_size=not dense)

    def classify(self, x: Tensor, need: Need, share: Share | None) -> Output:
        """Return logits and what ``need`` asks for."""
        model = self.model
        x = model.patch_embed(x)
        carried = input_share(share, *x.shape[1:3]) if need.share else None
        read = self.kind(need) == "mean_attn"
        row = None
        for i, stage in enumerate(model.layers):
            x = stage.downsample(x)
            if carried is not None and not isinstance(stage.downsample, nn.Identity):
                carried = merge(carried)
            for j, block in enumerate(stage.blocks):
                last = i == len(model.layers) - 1 and j == len(stage.blocks) - 1
                if carried is None and not (read and last):
                    x = self.run(block, x)
                else:
                    x, row, carried = self.run(read_block, block, x, carried)
        x = model.norm(x)
        at_pool = None if carried is None else carried.mean(dim=(1, 2))
        return self.output(model.forward_head(x), x.permute(0, 3, 1, 2), need, row if read else None, at_pool)

    def features(self, x: Tensor, out_indices: Sequence[int]) -> list[Tensor]:
        """Return the maps of the stages ``out_indices``; the last stage's goes through the final norm."""
        model = self.model
        x = model.patch_embed(x)
        after: dict[int, Tensor] = {}
        for i, stage in enumerate(model.layers):
            x = stage.downsample(x)
            for block in stage.blocks:
                x = self.run(block, x)
            if i in out_indices:
                last = i == len(model.layers) - 1
                after[i] = (model.norm(x) if last else x).permute(0, 3, 1, 2).contiguous()
        return [after[i] for i in out_indices]

    def head_weight(self) -> Tensor:
        """Return the classifier's rows; see `Family.head_weight`."""
        return self.model.head.fc.weight
