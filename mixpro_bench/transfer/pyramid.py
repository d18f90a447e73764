"""The feature pyramid between any backbone and the dense heads, the same for detection and segmentation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import torch.nn.functional as F
from mmengine.model import BaseModule
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from mixpro_bench.errors import UserError
from mixpro_bench.registry import MODELS

STRIDES = (4, 8, 16, 32)


@MODELS.register_module()
class Pyramid(BaseModule):
    """Make strides 4, 8, 16 and 32 out of a backbone's own maps.

    Level ``i`` comes from map ``i``: a fresh layer norm, then transposed convolutions up (ViTDet, arXiv:2203.16527,
    section 3), nothing, or max pooling down. Where the strides are no powers of two apart (patch 14), a bilinear step
    that keeps every cell at its place in the image does the rest.

    A map of n cells at stride s covers n * s pixels; level ``i`` gets ``ceil(n * s / (4 * 2**i))`` cells. With images
    padded to multiples of 4 and of the patch size that is the image exactly; keep to that for segmentation
    (``size_divisor`` of the data preprocessor and of its ``test_cfg``), because logits are stretched over the image.

    Args:
        in_channels: Channels of the backbone's four maps (its ``out_channels``).
        in_strides: Pixels per cell of the four maps (its ``out_strides``).
        out_channels: Channels of every level, by a 1x1 convolution; None keeps the map's own.
        init_cfg: mmengine's; PyTorch's initialisation by default.

    Raises:
        UserError: If there are not four maps.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int],
        out_channels: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not len(in_channels) == len(in_strides) == len(STRIDES):
            raise UserError(
                f"Pyramid needs four maps, got in_channels={list(in_channels)} and in_strides={list(in_strides)}; "
                "give four out_indices to the backbone and one channel and one stride for each"
            )
        self.in_strides = list(in_strides)
        self.out_channels = [out_channels or channels for channels in in_channels]
        self.levels = nn.ModuleList(
            _Level(channels, stride, target, out_channels)
            for channels, stride, target in zip(in_channels, in_strides, STRIDES, strict=True)
        )

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Turn four maps (B, C_i, h_i, w_i) into four levels of strides 4, 8, 16 and 32."""
        return tuple(level(x) for level, x in zip(self.levels, maps, strict=True))


class _Level(nn.Module):
    """One level: from stride ``stride`` to ``target``."""

    def __init__(self, channels: int, stride: int, target: int, out_channels: int | None) -> None:
        super().__init__()
        self.ratio = Fraction(stride, target)
        steps = round(math.log2(self.ratio))
        layers: list[nn.Module] = [LayerNorm2d(channels)]
        for step in range(steps):
            if step:
                layers += [LayerNorm2d(channels), nn.GELU()]
            layers.append(nn.ConvTranspose2d(channels, channels, 2, 2))
        if steps < 0:
            layers.append(nn.MaxPool2d(2**-steps, ceil_mode=True))
        self.body = nn.Sequential(*layers)
        # What the powers of two leave over, and the strides of the map that the body gives.
        self.rest = self.ratio / Fraction(2) ** steps
        self.out = nn.Conv2d(channels, out_channels, 1) if out_channels else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        size = [math.ceil(side * self.ratio) for side in x.shape[-2:]]
        x = self.body(x)
        return self.out(x if self.rest == 1 else _rescale(x, self.rest, size))


def _rescale(x: Tensor, factor: Fraction, size: Sequence[int]) -> Tensor:
    """Resample by an exact factor, cell (0, 0) staying in the corner, then cut to ``size``.

    ``interpolate(size=...)`` alone would stretch the content by the rounding of the size.
    """
    need = [max(0, math.ceil(side / factor) - have) for side, have in zip(size, x.shape[-2:], strict=True)]
    x = F.pad(x, (0, need[1], 0, need[0]), mode="replicate")
    x = F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False, recompute_scale_factor=False)
    return x[..., : size[0], : size[1]]


@MODELS.register_module()
class NeckSequence(BaseModule):
    """Several necks, one after the other: mmdet's detectors take only one.

    Args:
        necks: Configs of the necks, in order.
        init_cfg: mmengine's.
    """

    def __init__(self, necks: Sequence[dict], init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.necks = nn.Sequential(*(MODELS.build(neck) for neck in necks))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Pass the maps through every neck."""
        return tuple(self.necks(maps))

    def init_weights(self) -> None:
        """Initialise every neck by its own rule (mmengine looks at direct children only)."""
        for neck in self.necks:
            if hasattr(neck, "init_weights"):
                neck.init_weights()
        self.is_init = True
