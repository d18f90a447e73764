"""Images put together out of cells, against a loop over pixels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpro_bench.mixing.cells import paste_cells, take_cells, take_images

QUICK = settings(max_examples=25, deadline=None)


@QUICK
@given(b=st.integers(1, 4), h=st.integers(1, 13), w=st.integers(1, 13), cell=st.integers(1, 6), seed=st.integers(0, 99))
def test_pasting_cells_equals_the_loop_over_pixels(b, h, w, cell, seed):
    g = torch.Generator().manual_seed(seed)
    images = torch.randn(b, 3, h, w, generator=g)
    kept = torch.rand(b, -(-h // cell), -(-w // cell), generator=g) < 0.5
    partner = torch.randint(b, (b,), generator=g)
    before = images.clone()
    mixed = paste_cells(images, partner, kept, cell)
    for i in range(b):
        for y in range(h):
            for x in range(w):
                source = i if kept[i, y // cell, x // cell] else int(partner[i])
                assert torch.equal(mixed[i, :, y, x], images[source, :, y, x])
    assert torch.equal(images, before)


@QUICK
@given(rows=st.integers(1, 4), columns=st.integers(1, 4), cell=st.integers(1, 4), seed=st.integers(0, 99))
def test_cells_may_come_from_anywhere(rows, columns, cell, seed):
    g = torch.Generator().manual_seed(seed)
    b = 3
    images = torch.randn(b, 2, rows * cell, columns * cell, generator=g)
    shape = (b, rows, columns)
    sample = torch.randint(b, shape, generator=g)
    row, column = torch.randint(rows, shape, generator=g), torch.randint(columns, shape, generator=g)
    out = take_cells(images, sample, cell, row, column)
    for i in range(b):
        for r in range(rows):
            for c in range(columns):
                y, x = int(row[i, r, c]) * cell, int(column[i, r, c]) * cell
                there = images[sample[i, r, c], :, y : y + cell, x : x + cell]
                assert torch.equal(out[i, :, r * cell : (r + 1) * cell, c * cell : (c + 1) * cell], there)


def test_memory_layout_does_not_matter():
    images = torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    kept = torch.rand(2, 2, 2) < 0.5
    partner = torch.tensor([1, 0])
    assert torch.equal(paste_cells(images, partner, kept, 4), paste_cells(images.contiguous(), partner, kept, 4))


@pytest.mark.parametrize("size", [(4, 4), (3, 7), (7, 3), (1, 5)])
def test_whole_images(size):
    images, sample = torch.randn(3, 2, *size), torch.tensor([2, 0, 2, 1])
    assert torch.equal(take_images(images, sample), images[sample])
