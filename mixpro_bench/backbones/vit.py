"""Plain Vision Transformers of timm (``timm.models.VisionTransformer``: DeiT, ViT, DeiT-III, ...)."""

from __future__ import annotations

from collections.abc import Sequence

from timm.layers import Attention
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from mixpro_bench.backbones.attention import Read, attend
from mixpro_bench.backbones.contract import Need, Output, Share
from mixpro_bench.backbones.family import Family, as_map, token_share
from mixpro_bench.errors import UserError

READ: dict[str | None, Read] = {"cls": "cls", "mean_attn": "mean"}


def read_block(
    block: Block, x: Tensor, *, read: Read | None, prefix: int, share: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Run one transformer block and read from its attention; see `attend` for arguments and results.

    The share is averaged with its attended value, one half standing for the residual branch (TL-Align,
    vision_transformer.py:234-243).
    """
    attended, row, mixed = attend(block.attn, block.norm1(x), read=read, prefix=prefix, share=share)
    x = x + block.drop_path1(block.ls1(attended))
    x = x + block.drop_path2(block.ls2(block.mlp(block.norm2(x))))
    return x, row, None if mixed is None else (mixed + share) / 2


class ViT(Family):
    """How a plain ViT of timm meets the backbone contract; see `Family`.

    With a class token as readout, importance is its row in the last block. With mean pooling it is the patch tokens'
    mean row. Of distilled models the class token alone is read for importance; their share is the mean of both
    readouts, as their logits are.

    Raises:
        UserError: If tokens are dropped at random, since importance has no grid then.
    """

    readout = ("fc_norm", "attn_pool")

    def __init__(self, model: VisionTransformer, dense: bool) -> None:
        super().__init__(model, dense)
        if not isinstance(model.patch_drop, nn.Identity):
            raise UserError("model.backbone.patch_drop_rate drops tokens, which leaves no token grid; leave it at 0")
        self.prefix = model.num_prefix_tokens
        self.patch_size = model.patch_embed.feat_ratio()
        self.embed_dim = model.embed_dim
        pool = model.global_pool
        readable = all(type(b) is Block and type(b.attn) is Attention for b in model.blocks)
        kinds = (("cls", "mean_attn") if pool == "token" else ("mean_attn",)) if readable else ()
        self.importance_kinds = (*kinds, "cam") if pool == "avg" else kinds
        self.gives_share = readable and pool in ("token", "avg")

    @staticmethod
    def arguments(dense: bool) -> dict[str, object]:
        """Have positions resampled to any image size, and in dense use images padded to whole patches."""
        return dict(dynamic_img_size=True, dynamic_img_pad=dense)

    def embed(self, x: Tensor) -> tuple[Tensor, int, int]:
        """Cut images into tokens; returns tokens (B, prefix + h * w, C), h and w."""
        model = self.model
        patches = model.patch_embed(x)
        return model.norm_pre(model._pos_embed(patches)), patches.shape[1], patches.shape[2]

    def classify(self, x: Tensor, need: Need, share: Share | None) -> Output:
        """Return logits and what ``need`` asks for."""
        model = self.model
        x, h, w = self.embed(x)
        carried = token_share(share, h, w, self.prefix) if need.share else None
        read = READ.get(self.kind(need))
        row = None
        last = model.blocks[-1]
        for block in model.blocks:
            if carried is None and (read is None or block is not last):
                x = self.run(block, x)
            else:
                here = read if block is last else None
                x, row, carried = self.run(read_block, block, x, read=here, prefix=self.prefix, share=carried)
        x = model.norm(x)
        tokens = as_map(x[:, self.prefix :], h, w)
        return self.output(model.forward_head(x), tokens, need, row, self._share_of_readout(carried))

    def features(self, x: Tensor, out_indices: Sequence[int]) -> list[Tensor]:
        """Return the normalised patch tokens after the blocks ``out_indices`` as maps (B, C, h, w)."""
        x, h, w = self.embed(x)
        after: dict[int, Tensor] = {}
        for i, block in enumerate(self.model.blocks):
            x = self.run(block, x)
            if i in out_indices:
                after[i] = as_map(self.model.norm(x)[:, self.prefix :], h, w)
        return [after[i] for i in out_indices]

    def head_weight(self) -> Tensor:
        """Return the classifier's rows; see `Family.head_weight`."""
        weight, norm = self.model.head.weight, self.model.fc_norm
        return weight if isinstance(norm, nn.Identity) else weight * norm.weight

    def _share_of_readout(self, carried: Tensor | None) -> Tensor | None:
        if carried is None:
            return None
        if isinstance(self.model, VisionTransformerDistilled):
            return carried[:, :2].mean(dim=1)
        if self.model.global_pool == "token":
            return carried[:, 0]
        return carried[:, 0 if self.model.pool_include_prefix else self.prefix :].mean(dim=1)
