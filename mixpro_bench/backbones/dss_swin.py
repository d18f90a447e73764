"""Dynamic Spatial Sparsification on Swin: in its third stage, places that say little take a fast path.

The grid stays whole, so the maps serve detection and segmentation as Swin's do (arXiv:2207.01580).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from timm.layers import PatchEmbed
from timm.models.swin_transformer import SwinTransformerBlock, SwinTransformerStage
from torch import Tensor, nn

from mixpro_bench.backbones.contract import Need, Output, Share
from mixpro_bench.backbones.dss import DSS, decide, number_kept
from mixpro_bench.backbones.native import Encoded
from mixpro_bench.backbones.pieces import drop_path_rates, initialise
from mixpro_bench.backbones.swin import read_block
from mixpro_bench.errors import UserError
from mixpro_bench.registry import MODELS

# The stage whose places are told apart.
THIRD = 2


def attended(block: SwinTransformerBlock, x: Tensor) -> Tensor:
    """Run the first half of a block, attention in windows, on a map (B, h, w, C)."""
    return x + block.drop_path1(block._attn(block.norm1(x)))


def slow(block: SwinTransformerBlock, x: Tensor) -> Tensor:
    """Run the second half of a block, its MLP."""
    return x + block.drop_path2(block.mlp(block.norm2(x)))


def fast(block: SwinTransformerBlock, path: nn.Module, x: Tensor) -> Tensor:
    """Run what stands for the second half on the fast path."""
    return x + block.drop_path2(path(x))


def both_paths(
    block: SwinTransformerBlock, path: nn.Module, x1: Tensor, x2: Tensor, before: Tensor | None, kept: Tensor
) -> tuple[Tensor, Tensor]:
    """Run a block in training: two copies of the map, one on each path, of which each place shows one.

    Args:
        block: The block.
        path: Its fast path.
        x1: The copy on the slow path, shape (B, h, w, C).
        x2: The copy on the fast path.
        before: 1 where ``x1`` is shown, 0 where ``x2`` is, shape (B, h, w, 1); None while they are the same.
        kept: Likewise, what the block is to do.
    """
    x = x1 if before is None else before * x1 + (1 - before) * x2
    x = attended(block, x)
    return slow(block, kept * x + (1 - kept) * x1), fast(block, path, (1 - kept) * x + kept * x2)


def each_its_path(block: SwinTransformerBlock, path: nn.Module, x: Tensor, order: Tensor, left: int) -> Tensor:
    """Run a block where nothing is drawn: every place takes its own path and no other.

    Args:
        block: The block.
        path: Its fast path.
        x: Map, shape (B, h, w, C).
        order: Places, the highest score first, shape (B, h * w).
        left: How many of them take the slow path.
    """
    x = attended(block, x)
    if left == order.shape[1]:
        return slow(block, x)
    index = order[..., None].expand(-1, -1, x.shape[3])
    sorted_ = x.flatten(1, 2).gather(1, index)
    done = torch.cat((slow(block, sorted_[:, :left]), fast(block, path, sorted_[:, left:])), dim=1)
    return torch.empty_like(done).scatter(1, index, done).view(*x.shape[:3], -1)


def _sizes(depth: int, places: Sequence[int], **more: Any) -> dict[str, Any]:
    own = dict(dim=96, depths=(2, 2, depth, 2), heads=(3, 6, 12, 24), window=7, places=places)
    return own | dict(keep=0.7, step=0.2, teacher=None) | more


@MODELS.register_module()
class DSSSwin(DSS):
    """Dynamic Spatial Sparsification on Swin; see `DSS`.

    Three predictors, each before another block of the third stage, send ``keep``, ``keep - step`` and
    ``keep - 2 * step`` of all places down the slow path, each anew. Importance is the mean row of the last block, where
    the last stage is one window: up to the size it is built for, if that is 32 times the window at most.

    Args:
        variant: A name of ``variants``.
        dim: Channels of the first stage; they double from stage to stage.
        depths: Blocks per stage.
        heads: Number of heads per stage.
        window: Tokens per side of a window.
        places: Blocks of the third stage that have a predictor before them.
        keep: See `DSS`.
        step: How much less each further predictor keeps.
        teacher: See `DSS`.
        **kwargs: See `Native`.
    """

    variants = {
        "dss_swin_tiny": _sizes(6, (1, 2, 3)),
        "dss_swin_small": _sizes(18, (2, 4, 6)),
        "dss_swin_base": _sizes(18, (2, 4, 6), dim=128, heads=(4, 8, 16, 32)),
        "dss_swin_test": _sizes(4, (1, 2, 3), dim=16, depths=(1, 2, 4, 2), heads=(1, 2, 2, 4), window=2, img_size=64),
    }
    readout = ("norm", "predictors")
    ratio_weight = 10.0
    smallest = 4

    def build(  # type: ignore[override]
        self,
        *,
        drop_path_rate: float,
        img_size: int,
        dim: int,
        depths: Sequence[int],
        heads: Sequence[int],
        window: int,
        places: Sequence[int],
        keep: float,
        step: float,
        teacher: Mapping[str, Any] | None,
    ) -> None:
        """Make the modules; see `Native.build`."""
        self.patch_size, self.places = 4, tuple(places)
        self.stage_channels = [dim * 2**i for i in range(len(depths))]
        self.stage_strides = [4 * 2**i for i in range(len(depths))]
        self.embed_dim = self.stage_channels[-1]
        self.stem = PatchEmbed(
            img_size, 4, 3, dim, norm_layer=nn.LayerNorm, output_fmt="NHWC", strict_img_size=False, dynamic_img_pad=True
        )
        grid = -(-img_size // 4)
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, depths)):
            side = -(-grid // 2 ** max(i - 1, 0))
            stages.append(
                SwinTransformerStage(
                    self.stage_channels[max(i - 1, 0)],
                    self.stage_channels[i],
                    (side, side),
                    depths[i],
                    downsample=i > 0,
                    num_heads=heads[i],
                    window_size=window,
                    dynamic_mask=True,
                    drop_path=list(rates),
                )
            )
        self.stages = nn.ModuleList(stages)
        last = self.stages[-1].blocks[-1]
        self.largest = last.window_size[0] * self.stage_strides[-1]
        self.importance_kinds = ("mean_attn", "cam") if img_size <= self.largest else ("cam",)
        c = self.stage_channels[THIRD]
        fast_paths = range(depths[THIRD] - self.places[0])
        self.fast_paths = nn.ModuleList(nn.Sequential(nn.LayerNorm(c), nn.Linear(c, c)) for _ in fast_paths)
        self.norm = nn.LayerNorm(self.embed_dim)
        self.arrange([round(keep - i * step, 6) for i in range(len(self.places))], c, teacher)
        initialise(self.stages, self.fast_paths, self.predictors)

    def classify(self, x: Tensor, need: Need, share: Share | None) -> Output:
        """Return logits and what ``need`` asks for; see `Native.classify`.

        Raises:
            UserError: If attention is asked for and the last stage is more than one window for images of this size.
        """
        kind = self.importance_kinds[0] if need.importance == "auto" else need.importance
        if kind == "mean_attn" and max(x.shape[2:]) > self.largest:
            h, w = x.shape[2:]
            raise UserError(
                f"backbone {self.name} reads attention where its last stage is one window, in images up to "
                f"{self.largest} px, not {h} x {w}: ask for importance 'cam'"
            )
        return super().classify(x, need, share)

    def encode(self, x: Tensor, *, kind: str | None = None, share: Share | None = None) -> Encoded:
        """Run the system; see `Native.encode`."""
        y, row = self.stem(x), None
        maps: list[Tensor] = []
        decisions: list[Tensor] = []
        for i, stage in enumerate(self.stages):
            y = stage.downsample(y)
            if i == THIRD:
                y = self._drawn(stage, y, decisions) if self.draws else self._sorted(stage, y)
            else:
                for block in stage.blocks:
                    if kind is not None and block is self.stages[-1].blocks[-1]:
                        y, row, _ = self.run(read_block, block, y, None)
                    else:
                        y = self.run(block, y)
            maps.append(y.permute(0, 3, 1, 2).contiguous())
        if self.dense:
            return Encoded(maps, maps[-1])
        tokens = self.norm(y).permute(0, 3, 1, 2)
        readout = tokens.mean(dim=(2, 3))
        return Encoded(maps, tokens, readout, row, aux_losses=self.losses(x, tokens, readout, decisions))

    def _drawn(self, stage: nn.Module, x: Tensor, decisions: list[Tensor]) -> Tensor:
        """Run the third stage on both paths; appends to ``decisions``."""
        size = (x.shape[1], x.shape[2], 1)
        before = kept = None
        x1 = x2 = x
        for j, block in enumerate(stage.blocks):
            if j in self.places:
                x = x1 if kept is None else kept * x1 + (1 - kept) * x2
                decisions.append(decide(self.predictors[self.places.index(j)](x.flatten(1, 2))))
                before, kept = kept, decisions[-1].unflatten(1, size)
            if kept is None:
                x1 = x2 = self.run(block, x1)
            else:
                x1, x2 = self.run(both_paths, block, self.fast_paths[j - self.places[0]], x1, x2, before, kept)
                before = kept
        return x1 if kept is None else kept * x1 + (1 - kept) * x2

    def _sorted(self, stage: nn.Module, x: Tensor) -> Tensor:
        """Run the third stage with every place on its own path."""
        order, left = None, 0
        for j, block in enumerate(stage.blocks):
            if j in self.places:
                number = self.places.index(j)
                left = number_kept(x.shape[1] * x.shape[2], self.ratios[number])
                with torch.no_grad():
                    order = self.predictors[number](x.flatten(1, 2))[..., 0].argsort(dim=1, descending=True)
            if order is None:
                x = self.run(block, x)
            else:
                x = self.run(each_its_path, block, self.fast_paths[j - self.places[0]], x, order, left)
        return x
