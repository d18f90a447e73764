"""TNT of timm (``timm.models.TNT``): a transformer over the pixels inside every patch, one over the patches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed
from timm.models.tnt import TNT as Model
from timm.models.tnt import Attention, Block, PixelEmbed
from torch import Tensor

from mixpro_bench.backbones.attention import attention_row, carry_alone
from mixpro_bench.backbones.contract import Need, Output, Share
from mixpro_bench.backbones.family import Family, as_map, token_share


def embed_pixels(embed: PixelEmbed, x: Tensor, position: Tensor) -> Tensor:
    """Do what ``PixelEmbed.forward`` does, for images of any whole number of patches.

    Args:
        embed: The module.
        x: Images, shape (B, 3, H, W).
        position: Positions inside a patch, shape (1, c, p, p).

    Returns:
        Pixel tokens of every patch, shape (B * patches, p * p, c).
    """
    if embed.legacy:
        x = embed.unfold(embed.proj(x)).transpose(1, 2)
        x = x.reshape(-1, embed.in_dim, *embed.new_patch_size)
    else:
        channels = x.shape[1]
        x = embed.proj(embed.unfold(x).transpose(1, 2).reshape(-1, channels, *embed.patch_size))
    return (x + position).flatten(2).transpose(1, 2)


@torch.no_grad()
def read_attention(attn: Attention, x: Tensor, read: bool, share: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Return the class token's row (B, N) if it is asked for, and ``S @ share`` (B, 1 + N) if there is a share.

    Queries and keys are computed once more: the outer attention is a small part of a block.
    """
    b, n, _ = x.shape
    q, k = attn.qk(x).reshape(b, n, 2, attn.num_heads, attn.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
    row = attention_row(q, k, attn.scale, "cls", prefix=1) if read else None
    return row, None if share is None else carry_alone(q, k, share, scale=attn.scale)


def read_block(
    block: Block, pixels: Tensor, patches: Tensor, *, read: bool, share: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Do what ``timm.models.tnt.Block.forward`` does, and read from the outer attention.

    Pixels of a patch show the same image as the patch, so the inner transformer leaves the share alone (this package's
    own: no released mixing method trains TNT).
    """
    pixels = pixels + block.drop_path(block.attn_in(block.norm_in(pixels)))
    pixels = pixels + block.drop_path(block.mlp_in(block.norm_mlp_in(pixels)))
    b, n, _ = patches.shape
    if block.legacy:
        update = block.proj(block.norm1_proj(pixels).reshape(b, n - 1, -1))
    else:
        update = block.norm2_proj(block.proj(block.norm1_proj(pixels.reshape(b, n - 1, -1))))
    patches = torch.cat((patches[:, :1], patches[:, 1:] + update), dim=1)
    normed = block.norm_out(patches)
    row, mixed = read_attention(block.attn_out, normed, read, share)
    patches = patches + block.drop_path(block.attn_out(normed))
    patches = patches + block.drop_path(block.mlp(block.norm_mlp(patches)))
    return pixels, patches, row, None if mixed is None else (mixed + share) / 2


class TNT(Family):
    """How a TNT of timm meets the backbone contract; see `Family`.

    Importance is the class token's row in the last outer attention. timm's TNT knows one image size; here positions are
    resampled to the grid at hand, and dense images are padded to whole patches.
    """

    gives_share = True

    def __init__(self, model: Model, dense: bool) -> None:
        super().__init__(model, dense)
        self.dense = dense
        self.patch_size = model.pixel_embed.patch_size[0]
        self.embed_dim = model.embed_dim
        self.importance_kinds = ("cls",) if model.global_pool == "token" else ("cam",)

    def embed(self, x: Tensor) -> tuple[Tensor, Tensor, int, int]:
        """Return pixel tokens, patch tokens (B, 1 + h * w, C), h and w."""
        model, p = self.model, self.patch_size
        if self.dense:
            x = F.pad(x, (0, -x.shape[-1] % p, 0, -x.shape[-2] % p))
        b, h, w = x.shape[0], x.shape[-2] // p, x.shape[-1] // p
        pixels = embed_pixels(model.pixel_embed, x, model.pixel_pos)
        patches = model.norm2_proj(model.proj(model.norm1_proj(pixels.reshape(b, h * w, -1))))
        patches = torch.cat((model.cls_token.expand(b, -1, -1), patches), dim=1)
        position = resample_abs_pos_embed(model.patch_pos, (h, w), old_size=model.pixel_embed.grid_size)
        return pixels, model.pos_drop(patches + position), h, w

    def classify(self, x: Tensor, need: Need, share: Share | None) -> Output:
        """Return logits and what ``need`` asks for."""
        model = self.model
        pixels, x, h, w = self.embed(x)
        carried = token_share(share, h, w, prefix=1) if need.share else None
        row = None
        for block in model.blocks:
            here = self.kind(need) == "cls" and block is model.blocks[-1]
            if carried is None and not here:
                pixels, x = self.run(block, pixels, x)
            else:
                pixels, x, row, carried = self.run(read_block, block, pixels, x, read=here, share=carried)
        x = model.norm(x)
        if carried is not None:
            carried = carried[:, 0] if model.global_pool == "token" else carried[:, 1:].mean(dim=1)
        return self.output(model.forward_head(x), as_map(x[:, 1:], h, w), need, row, carried)

    def features(self, x: Tensor, out_indices: Sequence[int]) -> list[Tensor]:
        """Return the normalised patch tokens after the blocks ``out_indices`` as maps (B, C, h, w)."""
        pixels, x, h, w = self.embed(x)
        after: dict[int, Tensor] = {}
        for i, block in enumerate(self.model.blocks):
            pixels, x = self.run(block, pixels, x)
            if i in out_indices:
                after[i] = as_map(self.model.norm(x)[:, 1:], h, w)
        return [after[i] for i in out_indices]
