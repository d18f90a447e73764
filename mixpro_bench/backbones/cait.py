"""CaiT of timm (``timm.models.Cait``): patch blocks with talking heads, then class attention.

The share of A carried through these blocks is this package's own: no released mixing method trains CaiT.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from timm.layers import resample_abs_pos_embed
from timm.models.cait import Cait, LayerScaleBlock, TalkingHeadAttn
from torch import Tensor

from mixpro_bench.backbones.attention import class_row
from mixpro_bench.backbones.contract import Need, Output, Share
from mixpro_bench.backbones.family import Family, as_map, token_share


def attend_talking(attn: TalkingHeadAttn, x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Do what ``TalkingHeadAttn.forward`` does, and carry the share.

    Talking heads cannot be fused, so the matrix is at hand. S is the mean over heads of the softmax's result, before
    the heads are mixed once more: the mixing weights have signs and no fixed sum, and a share must stay in [0, 1].

    Args:
        attn: The layer.
        x: Patch tokens, shape (B, N, C).
        share: Share of A per token, shape (B, N).

    Returns:
        The layer's output (B, N, C); ``S @ share``, float32 and detached, shape (B, N).
    """
    b, n, c = x.shape
    q, k, v = attn.qkv(x).reshape(b, n, 3, attn.num_heads, c // attn.num_heads).permute(2, 0, 3, 1, 4).unbind(0)
    scores = attn.proj_l((q * attn.scale @ k.transpose(-2, -1)).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    weights = scores.softmax(dim=-1)
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        mixed = (weights.mean(dim=1, dtype=torch.float32) @ share[..., None])[..., 0]
    weights = attn.attn_drop(attn.proj_w(weights.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
    return attn.proj_drop(attn.proj((weights @ v).transpose(1, 2).reshape(b, n, c))), mixed


def read_block(block: LayerScaleBlock, x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Run one patch block and carry the share through it, one half standing for the residual branch."""
    attended, mixed = attend_talking(block.attn, block.norm1(x), share)
    x = x + block.drop_path(block.gamma_1 * attended)
    x = x + block.drop_path(block.gamma_2 * block.mlp(block.norm2(x)))
    return x, (mixed + share) / 2


class CaiT(Family):
    """How a CaiT of timm meets the backbone contract; see `Family`.

    Importance is the class token's row in the last class-attention layer. timm's CaiT knows one image size; here
    positions are resampled to the grid at hand.
    """

    readout = ("cls_token", "blocks_token_only")
    gives_share = True

    def __init__(self, model: Cait, dense: bool) -> None:
        super().__init__(model, dense)
        model.patch_embed.strict_img_size = False
        model.patch_embed.dynamic_img_pad = dense
        # As timm's ViT says it: the class token has no position. Whoever resamples positions must know.
        model.no_embed_class = True
        self.patch_size = model.patch_embed.patch_size[0]
        self.embed_dim = model.embed_dim
        self.importance_kinds = ("class_attn",) if model.global_pool == "token" else ("cam",)

    def embed(self, x: Tensor) -> tuple[Tensor, int, int]:
        """Cut images into tokens; returns tokens (B, h * w, C), h and w."""
        model = self.model
        h, w = model.patch_embed.dynamic_feat_size(x.shape[-2:])
        grid = model.patch_embed.grid_size
        position = resample_abs_pos_embed(model.pos_embed, (h, w), old_size=grid, num_prefix_tokens=0)
        return model.pos_drop(model.patch_embed(x) + position), h, w

    def classify(self, x: Tensor, need: Need, share: Share | None) -> Output:
        """Return logits and what ``need`` asks for."""
        model = self.model
        x, h, w = self.embed(x)
        carried = token_share(share, h, w, prefix=1) if need.share else None
        for block in model.blocks:
            if carried is None:
                x = self.run(block, x)
            else:
                x, patches = self.run(read_block, block, x, carried[:, 1:])
                carried = torch.cat((carried[:, :1], patches), dim=1)
        token = model.cls_token.expand(x.shape[0], -1, -1)
        weights = None
        for block in model.blocks_token_only:
            read = self.kind(need) == "class_attn" and block is model.blocks_token_only[-1]
            if read or carried is not None:
                row = class_row(block.attn, block.norm1(torch.cat((token, x), dim=1)))
                weights = row[:, 1:] if read else None
                if carried is not None:
                    attended = (row * carried).sum(dim=1, keepdim=True)
                    carried = torch.cat(((attended + carried[:, :1]) / 2, carried[:, 1:]), dim=1)
            token = self.run(block, x, token)
        x = model.norm(torch.cat((token, x), dim=1))
        if carried is not None:
            carried = carried[:, 0] if model.global_pool == "token" else carried[:, 1:].mean(dim=1)
        return self.output(model.forward_head(x), as_map(x[:, 1:], h, w), need, weights, carried)

    def features(self, x: Tensor, out_indices: Sequence[int]) -> list[Tensor]:
        """Return the normalised patch tokens after the blocks ``out_indices`` as maps (B, C, h, w)."""
        x, h, w = self.embed(x)
        after: dict[int, Tensor] = {}
        for i, block in enumerate(self.model.blocks):
            x = self.run(block, x)
            if i in out_indices:
                after[i] = as_map(self.model.norm(x), h, w)
        return [after[i] for i in out_indices]
