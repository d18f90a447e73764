"""Where A is, on any grid, against counting pixels."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpro_bench.mixing import BoxRegion, ConstantRegion, GridRegion

QUICK = settings(max_examples=25, deadline=None)


def mean_of_pixels(mask: torch.Tensor, h: int, w: int) -> torch.Tensor:
    """Return the share of A per cell of a grid that divides the pixels, by counting."""
    b, height, width = mask.shape
    return mask.double().reshape(b, h, height // h, w, width // w).mean(dim=(2, 4))


def first_pixels(mask: torch.Tensor, h: int, w: int) -> torch.Tensor:
    return torch.nn.functional.interpolate(mask[:, None].float(), size=(h, w), mode="nearest")[:, 0]


@QUICK
@given(
    h=st.integers(1, 4), w=st.integers(1, 4), token=st.integers(1, 5), cell=st.integers(1, 9), seed=st.integers(0, 99)
)
def test_grid(h, w, token, cell, seed):
    size = (h * token, w * token)
    g = torch.Generator().manual_seed(seed)
    cells = torch.rand(3, -(-size[0] // cell), -(-size[1] // cell), generator=g) < 0.5
    pixels = cells.repeat_interleave(cell, 1).repeat_interleave(cell, 2)[:, : size[0], : size[1]]
    region = GridRegion(cells, cell, size)
    assert torch.equal(region.share(*size), pixels.float())
    torch.testing.assert_close(region.share(h, w).double(), mean_of_pixels(pixels, h, w), rtol=0, atol=1e-6)
    torch.testing.assert_close(region.area().double(), pixels.double().mean(dim=(1, 2)), rtol=0, atol=1e-6)
    assert torch.equal(region.share(h, w, mode="nearest"), first_pixels(pixels, h, w))


@QUICK
@given(h=st.integers(1, 5), w=st.integers(1, 5), token=st.integers(1, 5), data=st.data())
def test_box(h, w, token, data):
    size = (h * token, w * token)
    top, left = data.draw(st.integers(0, size[0])), data.draw(st.integers(0, size[1]))
    bottom, right = data.draw(st.integers(top, size[0])), data.draw(st.integers(left, size[1]))
    pixels = torch.ones(1, *size)
    pixels[:, top:bottom, left:right] = 0
    region = BoxRegion(torch.tensor([[top, bottom, left, right]]), size)
    assert torch.equal(region.share(*size), pixels)
    torch.testing.assert_close(region.share(h, w).double(), mean_of_pixels(pixels, h, w), rtol=0, atol=1e-6)
    assert torch.equal(region.share(h, w, mode="nearest"), first_pixels(pixels, h, w))


def test_constant():
    region = ConstantRegion(torch.tensor([0.25, 1.0]), (8, 8))
    assert region.share(2, 3).tolist() == [[[0.25] * 3] * 2, [[1.0] * 3] * 2]
    assert region.area().tolist() == [0.25, 1.0]
