"""Dynamic Spatial Sparsification on DeiT: fewer and fewer patches (DynamicViT, arXiv:2106.02034).

In training all patches stay, and attention does not see the dropped ones, so that gradients reach the predictors.
Elsewhere the patches that are left are gathered, and later blocks run on fewer tokens.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from mixpro_bench.backbones.contract import Share
from mixpro_bench.backbones.dss import DSS, decide, number_kept
from mixpro_bench.backbones.family import as_map
from mixpro_bench.backbones.native import Encoded
from mixpro_bench.backbones.oamixer_deit import Stem
from mixpro_bench.backbones.pieces import drop_path_rates, join_heads, split_heads
from mixpro_bench.backbones.pooled import Stage, start
from mixpro_bench.backbones.vit import read_block
from mixpro_bench.registry import MODELS

EPS = 1e-6


def seen_attention(scores: Tensor, seen: Tensor) -> Tensor:
    """Return attention to the tokens that are seen, and of every token to itself (DynamicViT, eq. 11).

    Args:
        scores: Scaled products of queries and keys, float32, shape (B, heads, N, N).
        seen: 1 for tokens that are seen, 0 for the others, shape (B, N). The gradient of both reaches it, which is
            why this is not left to a fused kernel: there, what is not seen has no gradient.
    """
    n = scores.shape[-1]
    own = torch.eye(n, dtype=scores.dtype, device=scores.device)
    graph = seen[:, None, None, :] * (1 - own) + own
    weights = (scores - scores.amax(dim=-1, keepdim=True).detach()).exp() * graph
    return (weights + EPS / n) / (weights.sum(dim=-1, keepdim=True) + EPS)


def masked_block(block: Block, x: Tensor, seen: Tensor, read: bool) -> tuple[Tensor, Tensor | None]:
    """Run a block of timm whose attention sees some of the tokens.

    Args:
        block: The block.
        x: Tokens, the class token first, shape (B, 1 + N, C).
        seen: See `seen_attention`, shape (B, 1 + N).
        read: Whether to return the class token's row.

    Returns:
        Tokens of the same shape; how much each patch is attended to by the class token, averaged over heads, float32
        and detached, shape (B, N), or None.
    """
    attn = block.attn
    q, k, v = (split_heads(part, attn.num_heads) for part in attn.qkv(block.norm1(x)).chunk(3, dim=-1))
    with torch.autocast(x.device.type, enabled=False):
        weights = seen_attention(q.float() * attn.scale @ k.float().transpose(-2, -1), seen.float())
    row = weights[:, :, 0, 1:].detach().mean(dim=1) if read else None
    x = x + block.drop_path1(attn.proj(join_heads(weights.to(v.dtype) @ v)))
    return x + block.drop_path2(block.mlp(block.norm2(x))), row


def _sizes(dim: int, heads: int, **more: Any) -> dict[str, Any]:
    return dict(dim=dim, depth=12, heads=heads, patch=16, keep=0.7, teacher=None) | more


@MODELS.register_module()
class DSSDeiT(DSS):
    """Dynamic Spatial Sparsification on DeiT; see `DSS`.

    After a quarter, a half and three quarters of the blocks ``keep``, ``keep ** 2`` and ``keep ** 3`` of the patches
    are left. Importance is the class token's row in the last block, where dropped patches have none. In the maps a
    dropped patch stays what it was when it was dropped.

    Args:
        variant: A name of ``variants``.
        dim: Channels.
        depth: Number of blocks.
        heads: Number of heads.
        patch: Pixels per token side.
        keep: See `DSS`.
        teacher: See `DSS`.
        **kwargs: See `Native`.
    """

    variants = {
        "dss_deit_tiny": _sizes(192, 3),
        "dss_deit_256": _sizes(256, 4),
        "dss_deit_small": _sizes(384, 6),
        "dss_deit_base": _sizes(768, 12),
        "dss_deit_test": _sizes(24, 3, depth=4, img_size=64),
    }
    readout = ("norm", "predictors")
    importance_kinds = ("cls",)
    ratio_weight = 2.0

    def build(  # type: ignore[override]
        self,
        *,
        drop_path_rate: float,
        img_size: int,
        dim: int,
        depth: int,
        heads: int,
        patch: int,
        keep: float,
        teacher: Mapping[str, Any] | None,
    ) -> None:
        """Make the modules; see `Native.build`."""
        self.patch_size, self.embed_dim, self.smallest = patch, dim, patch
        self.stage_channels, self.stage_strides = [dim] * 4, [patch] * 4
        norm = partial(nn.LayerNorm, eps=1e-6)
        (rates,) = drop_path_rates(drop_path_rate, [depth])
        blocks = [Block(dim, heads, qkv_bias=True, drop_path=rate, norm_layer=norm) for rate in rates]
        edges = [i * depth // 4 for i in range(5)]
        self.stem = Stem(dim, patch, -(-img_size // patch))
        self.stages = nn.ModuleList(Stage(None, blocks[a:b]) for a, b in itertools.pairwise(edges))
        self.norm = norm(dim)
        self.arrange([keep**i for i in (1, 2, 3)], dim, teacher)
        self.apply(start)

    def encode(self, x: Tensor, *, kind: str | None = None, share: Share | None = None) -> Encoded:
        """Run the system; see `Native.encode`."""
        tokens, size = self.stem(x)
        run = self._masked if self.draws else self._gathered
        tokens, maps, row, decisions = run(tokens, size, kind is not None)
        weights = None if row is None else row.unflatten(1, size)
        if self.dense:
            return Encoded(maps, maps[-1])
        tokens = self.norm(tokens)
        patches, readout = as_map(tokens[:, 1:], *size), tokens[:, 0]
        own = self.losses(x, patches, readout, decisions, decisions[-1] if decisions else None)
        return Encoded(maps, patches, readout, weights, aux_losses=own)

    def _masked(
        self, x: Tensor, size: tuple[int, int], read: bool
    ) -> tuple[Tensor, list[Tensor], Tensor | None, list[Tensor]]:
        """Run all blocks on all tokens; attention does not see what decisions drop."""
        maps: list[Tensor] = []
        decisions: list[Tensor] = []
        row = None
        for i, stage in enumerate(self.stages):
            if i:
                before = decisions[-1] if decisions else None
                drawn = decide(self.predictors[i - 1](x[:, 1:], before))
                decisions.append(drawn if before is None else drawn * before)
            for block in stage.blocks:
                if decisions:
                    wanted = read and block is self.stages[-1].blocks[-1]
                    x, row = self.run(masked_block, block, x, F.pad(decisions[-1], (1, 0), value=1.0), wanted)
                else:
                    x = self.run(block, x)
            maps.append(as_map(x[:, 1:], *size))
        return x, maps, row, decisions

    def _gathered(
        self, x: Tensor, size: tuple[int, int], read: bool
    ) -> tuple[Tensor, list[Tensor], Tensor | None, list[Tensor]]:
        """Run blocks on the tokens that are left; returned are all, those dropped as they were when dropped."""
        everyone, row = x, None
        n = x.shape[1] - 1
        # Place of each token among all; the class token stays first.
        place = torch.arange(1 + n, device=x.device).expand(len(x), -1)
        maps: list[Tensor] = []
        for i, stage in enumerate(self.stages):
            if i and (left := number_kept(n, self.ratios[i - 1])) < x.shape[1] - 1:
                with torch.no_grad():
                    chosen = self.predictors[i - 1](x[:, 1:])[..., 0].topk(left, dim=1).indices + 1
                chosen = F.pad(chosen, (1, 0))
                x = x.gather(1, chosen[..., None].expand(-1, -1, x.shape[2]))
                place = place.gather(1, chosen)
            for block in stage.blocks:
                last = read and block is self.stages[-1].blocks[-1]
                x, row, _ = self.run(read_block, block, x, read="cls" if last else None, prefix=1, share=None)
            everyone = everyone.to(x.dtype).scatter(1, place[..., None].expand_as(x), x)
            maps.append(as_map(everyone[:, 1:], *size))
        if row is not None:
            row = row.new_zeros(len(row), n).scatter(1, place[:, 1:] - 1, row)
        return everyone, maps, row, []
