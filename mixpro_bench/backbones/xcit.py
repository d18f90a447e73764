"""XCiT of timm (``timm.models.Xcit``): attention between channels, then class attention between tokens.

Attention between channels mixes no tokens by weights that could be read, so no share of A can be carried through it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from timm.models.xcit import Xcit
from torch import Tensor

from mixpro_bench.backbones.attention import class_row
from mixpro_bench.backbones.contract import Need, Output, Share
from mixpro_bench.backbones.family import Family, as_map


class XCiT(Family):
    """How an XCiT of timm meets the backbone contract; see `Family`.

    Importance is the class token's row in the last class-attention layer. Any image size will do: the stem pads, and
    positions are computed.
    """

    readout = ("cls_token", "cls_attn_blocks")

    def __init__(self, model: Xcit, dense: bool) -> None:
        super().__init__(model, dense)
        self.patch_size = model.patch_embed.patch_size
        self.embed_dim = model.embed_dim
        self.importance_kinds = ("class_attn",) if model.global_pool == "token" else ("cam",)

    def embed(self, x: Tensor) -> tuple[Tensor, int, int]:
        """Cut images into tokens; returns tokens (B, h * w, C), h and w."""
        model = self.model
        x, (h, w) = model.patch_embed(x)
        if model.pos_embed is not None:
            x = x + model.pos_embed(1, h, w).flatten(2).transpose(1, 2)
        return model.pos_drop(x), h, w

    def classify(self, x: Tensor, need: Need, share: Share | None) -> Output:
        """Return logits and what ``need`` asks for."""
        model = self.model
        x, h, w = self.embed(x)
        for block in model.blocks:
            x = self.run(block, x, h, w)
        x = torch.cat((model.cls_token.expand(x.shape[0], -1, -1), x), dim=1)
        row = None
        for i, block in enumerate(model.cls_attn_blocks):
            if i == len(model.cls_attn_blocks) - 1 and self.kind(need) == "class_attn":
                row = class_row(block.attn, block.norm1(x))[:, 1:]
            x = self.run(block, x)
        x = model.norm(x)
        return self.output(model.forward_head(x), as_map(x[:, 1:], h, w), need, row)

    def features(self, x: Tensor, out_indices: Sequence[int]) -> list[Tensor]:
        """Return the normalised patch tokens after the blocks ``out_indices`` as maps (B, C, h, w)."""
        x, h, w = self.embed(x)
        after: dict[int, Tensor] = {}
        for i, block in enumerate(self.model.blocks):
            x = self.run(block, x, h, w)
            if i in out_indices:
                after[i] = as_map(self.model.norm(x), h, w)
        return [after[i] for i in out_indices]
