"""The pyramid: exact sizes, from every kind of backbone, and content that stays where it is."""

from __future__ import annotations

import math

import pytest
import torch

from mixpro_bench.errors import UserError
from mixpro_bench.transfer import Pyramid


@pytest.mark.parametrize("size", [(96, 96), (224, 320), (97, 131)])
@pytest.mark.parametrize("strides", [[16] * 4, [8] * 4, [4] * 4, [14] * 4, [4, 8, 16, 32], [8, 16, 32, 32]])
def test_sizes(size, strides):
    pyramid = Pyramid([8] * 4, strides, out_channels=6)
    covered = [[math.ceil(side / stride) * stride for side in size] for stride in strides]
    maps = [torch.randn(2, 8, h // s, w // s, requires_grad=True) for (h, w), s in zip(covered, strides, strict=True)]
    levels = pyramid(maps)
    for level, (h, w), target in zip(levels, covered, (4, 8, 16, 32), strict=True):
        assert level.shape == (2, 6, math.ceil(h / target), math.ceil(w / target))
    sum(level.sum() for level in levels).backward()
    assert all(x.grad is not None for x in maps)
    assert all(p.grad is not None for p in pyramid.parameters())


def test_native_channels():
    sizes = list(zip((8, 16, 24, 32), (4, 8, 16, 32), strict=True))
    levels = Pyramid(*zip(*sizes, strict=True))([torch.randn(1, c, 96 // s, 96 // s) for c, s in sizes])
    assert [level.shape[1] for level in levels] == [8, 16, 24, 32]


def test_patch_14_keeps_positions():
    """A ramp along the image keeps its slope per pixel: resampling does not stretch it by the rounding of the size."""
    from fractions import Fraction

    from mixpro_bench.transfer.pyramid import _rescale

    fine = (torch.arange(28) + 0.5) * 3.5  # 98 px at stride 3.5
    level = _rescale(fine.expand(1, 1, 28, 28), Fraction(7, 8), [25, 25])[0, 0, 5, 1:23]
    assert torch.allclose(level, (torch.arange(1, 23) + 0.5) * 4, atol=1e-4)


def test_three_maps_are_refused():
    with pytest.raises(UserError, match="four out_indices"):
        Pyramid([8] * 3, [16] * 3)
