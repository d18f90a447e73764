"""RegionViT against its official numbers, its closed form, and its block written window by window."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
from closed_form import conv, depthwise, gmacs, linear, norm, parameters

from mixpro_bench.backbones import Need
from mixpro_bench.backbones.regionvit import RegionToLocal, RegionViT

pytestmark = pytest.mark.systems


def closed_form(dim: int, heads: int, depths: tuple[int, ...] = (2, 2, 8, 2)) -> int:
    local = conv(3, dim // 4, 3) + conv(dim // 4, dim // 2, 3) + conv(dim // 2, dim, 3)
    total = conv(3, dim, 28) + local + norm(dim // 4) + norm(dim // 2)
    for i, depth in enumerate(depths):
        c, h = dim * 2**i, heads * 2**i
        total += norm(c // 2) + 2 * depthwise(c // 2, 3) if i else 0
        mlp = linear(c, 4 * c) + linear(4 * c, c)
        total += depth * (3 * norm(c) + linear(c, 3 * c) + linear(c, c) + 169 * h + mlp)
    return total + norm(c) + linear(c, 1000)


@pytest.mark.parametrize(
    ("variant", "dim", "heads", "official"),
    [("regionvit_tiny", 64, 2, 13_842_676), ("regionvit_small", 96, 3, 30_586_618)],
)
def test_parameters(variant: str, dim: int, heads: int, official: int):
    assert parameters(RegionViT, variant) == official == closed_form(dim, heads)


def test_macs():
    assert gmacs(RegionViT, "regionvit_tiny") == pytest.approx(2.41, rel=0.02)


def by_hand(block: RegionToLocal, regions: Tensor, local: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Do what the block does, window by window and head by head, with the real tokens alone."""
    heads, dim = block.attn.heads, regions.shape[-1]
    d = dim // heads
    weight, start = block.attn.qkv.weight, block.attn.qkv.bias

    def attend(x: Tensor, bias: Tensor) -> Tensor:
        q, k, v = (x @ weight[i * dim : (i + 1) * dim].T + start[i * dim : (i + 1) * dim] for i in range(3))
        parts = [slice(h * d, (h + 1) * d) for h in range(heads)]
        mixed = [(q[:, p] @ k[:, p].T / d**0.5 + bias[h]).softmax(1) @ v[:, p] for h, p in enumerate(parts)]
        return torch.cat(mixed, dim=1) @ block.attn.proj.weight.T + block.attn.proj.bias

    window = block.bias.window
    n = window[0] * window[1]
    bias = torch.zeros(heads, 1 + n, 1 + n)
    for a in range(n):
        for b in range(n):
            rows = a // window[1] - b // window[1] + window[0] - 1
            columns = a % window[1] - b % window[1] + window[1] - 1
            bias[:, 1 + a, 1 + b] = block.bias.table[:, rows, columns]
    regions, local = regions.clone(), local.clone()
    for image in range(len(regions)):
        size = regions.shape[1]
        regions[image] += attend(block.norm0(regions[image]), torch.zeros(heads, size, size))
        for w in range(size):
            real = torch.ones(n, dtype=torch.bool) if mask is None else mask[w, 1:]
            both = torch.cat((torch.ones(1, dtype=torch.bool), real))
            x = torch.cat((regions[image, w : w + 1], local[image, w, real]))
            x = x + attend(block.norm1(x), bias[:, both][:, :, both])
            x = x + block.mlp(block.norm2(x))
            regions[image, w], local[image, w, real] = x[0], x[1:]
    return regions, local


@pytest.mark.parametrize("masked", [False, True])
def test_block_is_its_description(masked: bool):
    torch.manual_seed(0)
    block = RegionToLocal(12, 3, 3, 0.0).eval().requires_grad_(False)
    torch.nn.init.normal_(block.bias.table)
    torch.nn.init.normal_(block.attn.qkv.weight, std=0.4)
    regions, local = torch.randn(2, 4, 12), torch.randn(2, 4, 9, 12)
    mask = None
    if masked:
        mask = torch.ones(4, 10, dtype=torch.bool)
        mask[1, 3:] = mask[2, [2, 5]] = mask[3, 2:] = False
    found = block(regions, local, mask)
    expected = by_hand(block, regions, local, mask)
    real = torch.ones(4, 9, dtype=torch.bool) if mask is None else mask[:, 1:]
    assert torch.allclose(found[0], expected[0], atol=1e-5)
    assert torch.allclose(found[1][:, real], expected[1][:, real], atol=1e-5)


def test_both_kinds_of_tokens_have_the_same_weights():
    block = RegionToLocal(16, 2, 2, 0.0)
    assert sum(name.endswith("qkv.weight") for name, _ in block.named_parameters()) == 1
    model = RegionViT("regionvit_test")
    assert sum("downsample" in name and name.endswith("2.weight") for name, _ in model.named_parameters()) == 3


@pytest.mark.parametrize("size", [(64, 64), (72, 104), (96, 141), (33, 40)])
def test_every_window_has_its_region_and_shows_the_same_pixels(size: tuple[int, int]):
    torch.manual_seed(0)
    model = RegionViT("regionvit_test", num_classes=3).eval()
    x = torch.randn(1, 3, *size)
    found = model(x, need=Need("auto", tokens=True))
    grid = tuple(-(-side // 32) for side in size)
    assert found.tokens.shape[2:] == grid
    assert found.importance.shape == (1, *grid)
    # The region tokens of the stem change where the pixels of their own cell change, and nowhere else.
    row, column = (side // 8 - 1 for side in size)
    regions, local = model.stem(x)
    y = x.clone()
    y[..., 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += 1
    changed = (model.stem(y)[0] - regions).abs().sum(1)[0] > 1e-4
    assert changed.nonzero().tolist() == [[row, column]]
    assert local.shape[2:] == tuple(-(-side // 4) for side in size)
    assert regions.shape[2:] == tuple(-(-side // 8) for side in size)


def test_importance_is_the_row_of_the_region_token():
    torch.manual_seed(0)
    model = RegionViT("regionvit_test", num_classes=3).eval()
    block = model.stages[-1].blocks[-1]
    torch.nn.init.normal_(block.attn.qkv.weight, std=0.3)
    seen = []
    block.attn.qkv.register_forward_hook(lambda _, __, out: seen.append(out))
    found = model(torch.randn(2, 3, 64, 96), need=Need("class_attn")).importance
    q, k, _ = seen[-1].unflatten(-1, (3, block.attn.heads, -1)).movedim(-3, 0)
    assert q.shape[:3] == (2, 2, 5)
    expected = torch.zeros(2, 2, 3)
    for image in range(2):
        for window in range(2):
            for head in range(8):
                products = torch.stack([q[image, window, 0, head] @ k[image, window, t, head] for t in range(5)])
                weights = (products / q.shape[-1] ** 0.5).softmax(0)[1:].reshape(2, 2) / 8
                cells = weights[:, : 2 if window == 0 else 1]
                if window == 1:  # 96 px are three cells: the second window is half real
                    weights = (products[[0, 1, 3]] / q.shape[-1] ** 0.5).softmax(0)[1:] / 8
                    cells = weights[:, None]
                expected[image, :, 2 * window : 2 * window + cells.shape[1]] += cells
    expected = expected / expected.sum((1, 2), keepdim=True)
    assert found.std() > 1e-2
    assert torch.allclose(found, expected, atol=1e-5)


def test_what_is_padded_is_not_seen():
    torch.manual_seed(0)
    model = RegionViT("regionvit_test", dense=True).eval()
    x = torch.randn(1, 3, 72, 100)
    maps = model(x)
    for block in (b for stage in model.stages for b in stage.blocks):
        block.register_forward_pre_hook(lambda _, args: (args[0], spoil(args[1], args[2]), *args[2:]))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(maps, model(x), strict=True))


def spoil(local: Tensor, mask: Tensor | None) -> Tensor:
    return local if mask is None else local.masked_fill(~mask[:, 1:, None], 1e3)
