"""PVT v2 of timm (``timm.models.PyramidVisionTransformerV2``): four stages, keys reduced in the first three.

Importance and share of A are this package's own here: no released mixing method trains PVT v2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from timm.models.pvt_v2 import Attention, Block, PyramidVisionTransformerV2
from torch import Tensor

from mixpro_bench.backbones.attention import attention_row, carry
from mixpro_bench.backbones.contract import Need, Output, Share
from mixpro_bench.backbones.family import Family, input_share


def attend_reduced(
    attn: Attention, x: Tensor, size: tuple[int, int], *, read: bool, share: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Do what ``timm.models.pvt_v2.Attention.forward`` does, and read from it.

    Args:
        attn: The layer.
        x: Tokens, shape (B, h * w, C).
        size: h and w.
        read: Whether to return how much each key is attended to; without reduction of the keys only.
        share: Share of A per token, shape (B, h, w), or None. Keys that stand for several tokens get their mean.

    Returns:
        The layer's output; the mean row (B, h * w) or None; ``S @ share`` (B, h, w) or None, where S is the attention
        matrix averaged over heads.
    """
    b, n, c = x.shape
    heads = attn.num_heads
    q = attn.q(x).reshape(b, n, heads, -1).permute(0, 2, 1, 3)
    keys, key_share = x, share
    if attn.sr is not None:
        keys = keys.transpose(1, 2).reshape(b, c, *size)
        if attn.pool is not None:
            keys = attn.norm(attn.sr(attn.pool(keys)).flatten(2).transpose(1, 2))
            keys = attn.act(keys)
            key_share = None if share is None else F.adaptive_avg_pool2d(share, attn.pool.output_size)
        else:
            keys = attn.norm(attn.sr(keys).flatten(2).transpose(1, 2))
            key_share = None if share is None else F.avg_pool2d(share, attn.sr.kernel_size, attn.sr.stride)
    k, v = attn.kv(keys).reshape(b, -1, 2, heads, attn.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
    row = attention_row(q, k, attn.scale, "mean", prefix=0) if read else None
    dropout = attn.attn_drop.p if attn.training else 0.0
    mixed = None
    if key_share is None:
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
    else:
        out, mixed = carry(q, k, v, key_share.flatten(1), scale=attn.scale, dropout=dropout)
        mixed = mixed.reshape(b, *size)
    out = out.transpose(1, 2).reshape(b, n, c)
    return attn.proj_drop(attn.proj(out)), row, mixed


def read_block(
    block: Block, x: Tensor, size: tuple[int, int], *, read: bool, share: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Run one block and read from its attention; one half of the share stands for the residual branch."""
    attended, row, mixed = attend_reduced(block.attn, block.norm1(x), size, read=read, share=share)
    x = x + block.drop_path1(attended)
    x = x + block.drop_path2(block.mlp(block.norm2(x), size))
    return x, row, None if mixed is None else (mixed + share) / 2


class PVTv2(Family):
    """How a PVT v2 of timm meets the backbone contract; see `Family`.

    Importance is the mean row of the last block, which attends to every token (``sr_ratios[-1] = 1``). The linear
    variants attend to pooled keys only and leave class activation maps. The stems pad, so any image size will do.
    Between stages, where neighbouring patches overlap, the share is averaged over the 2 x 2 tokens a new one lies on.
    """

    fixed_size = False

    def __init__(self, model: PyramidVisionTransformerV2, dense: bool) -> None:
        super().__init__(model, dense)
        self.patch_size = model.patch_embed.proj.stride[0]
        self.embed_dim = model.num_features
        whole = model.stages[-1].blocks[-1].attn.sr is None
        self.gives_share = model.global_pool == "avg"
        self.importance_kinds = (*(("mean_attn",) if whole else ()), *(("cam",) if self.gives_share else ()))

    def classify(self, x: Tensor, need: Need, share: Share | None) -> Output:
        """Return logits and what ``need`` asks for."""
        model = self.model
        x = model.patch_embed(x)
        carried = input_share(share, *x.shape[1:3]) if need.share else None
        read = self.kind(need) == "mean_attn"
        row = None
        for i, stage in enumerate(model.stages):
            if stage.downsample is not None:
                x = stage.downsample(x)
                carried = None if carried is None else F.avg_pool2d(carried, 2, ceil_mode=True)
            size = (x.shape[1], x.shape[2])
            x = x.flatten(1, 2)
            for j, block in enumerate(stage.blocks):
                here = read and i == len(model.stages) - 1 and j == len(stage.blocks) - 1
                if carried is None and not here:
                    x = self.run(block, x, size)
                else:
                    x, row, carried = self.run(read_block, block, x, size, read=here, share=carried)
            x = stage.norm(x).unflatten(1, size).permute(0, 3, 1, 2).contiguous()
        at_pool = None if carried is None else carried.mean(dim=(1, 2))
        return self.output(model.forward_head(x), x, need, row, at_pool)

    def features(self, x: Tensor, out_indices: Sequence[int]) -> list[Tensor]:
        """Return the maps of the stages ``out_indices``."""
        model = self.model
        x = model.patch_embed(x)
        after: list[Tensor] = []
        for stage in model.stages:
            x = x if stage.downsample is None else stage.downsample(x)
            size = (x.shape[1], x.shape[2])
            x = x.flatten(1, 2)
            for block in stage.blocks:
                x = self.run(block, x, size)
            x = stage.norm(x).unflatten(1, size).permute(0, 3, 1, 2).contiguous()
            after.append(x)
        return [after[i] for i in out_indices]
