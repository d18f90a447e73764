"""Hire-MLP against its official numbers, its closed form, and its operators written as loops."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from closed_form import conv, gmacs, linear, norm, parameters

from mixpro_bench.backbones.hire_mlp import HireMix, HireMLP, RegionMix

pytestmark = pytest.mark.systems


def closed_form(dims: tuple[int, ...], depths: tuple[int, ...], regions: tuple[int, ...] = (4, 3, 3, 2)) -> int:
    total = conv(3, dims[0], 7) + norm(dims[0])
    for i, (c, depth, p) in enumerate(zip(dims, depths, regions, strict=True)):
        if i:
            total += conv(dims[i - 1], c, 3) + norm(c)
        region = linear(c * p, c // 2, bias=False) + norm(c // 2) + linear(c // 2, c * p)
        weigh = linear(c, c // 4) + linear(c // 4, 3 * c)
        mlp = linear(c, 4 * c) + linear(4 * c, c)
        total += depth * (2 * norm(c) + 2 * region + 2 * linear(c, c) + weigh + mlp)
    return total + norm(c) + linear(c, 1000)


@pytest.mark.parametrize(
    ("variant", "dims", "depths", "official"),
    [
        ("hire_mlp_tiny", (64, 128, 320, 512), (2, 2, 4, 2), 18_041_672),
        ("hire_mlp_small", (64, 128, 320, 512), (3, 4, 10, 3), None),
        ("hire_mlp_large", (96, 192, 384, 768), (4, 6, 24, 3), None),
    ],
)
def test_parameters(variant: str, dims: tuple[int, ...], depths: tuple[int, ...], official: int | None):
    assert parameters(HireMLP, variant) == closed_form(dims, depths)
    assert official in (None, closed_form(dims, depths))


def test_macs():
    assert gmacs(HireMLP, "hire_mlp_tiny") == pytest.approx(2.14, rel=0.02)


def shaken(module: nn.Module) -> nn.Module:
    """Return the module in evaluation mode, its norms with statistics of their own."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
            nn.init.normal_(part.weight)
    return module.eval()


def slow_rows(layer: RegionMix, x: Tensor) -> Tensor:
    """Mix the rows region by region, with indices that run around the map."""
    h, p = x.shape[2], layer.region
    out = torch.zeros_like(x)
    for first in range(0, h, p):
        rows = [((first + i) % h - layer.step) % h for i in range(p)]
        joint = torch.stack([x[:, :, r] for r in rows], dim=2).flatten(1, 2)[:, :, None]
        mixed = layer.mlp(joint)[:, :, 0].unflatten(1, (-1, p))
        for i in range(p):
            if first + i < h:
                out[:, :, rows[i]] = mixed[:, :, i]
    return out


@pytest.mark.parametrize(("region", "step", "height"), [(4, 0, 8), (4, 2, 8), (3, 1, 7), (3, 2, 8), (2, 1, 5)])
def test_regions_are_neighbouring_rows(region: int, step: int, height: int):
    layer = shaken(RegionMix(8, region, step))
    x = torch.randn(2, 8, height, 5)
    assert torch.allclose(layer(x), slow_rows(layer, x), atol=1e-5)


def test_ways_are_weighed_per_channel():
    layer = shaken(HireMix(8, 3, 1))
    x = torch.randn(2, 8, 7, 5)
    ways = [slow_rows(layer.rows, x), slow_rows(layer.columns, x.mT).mT, layer.place(x)]
    numbers = layer.weigh(sum(ways).mean((2, 3)))
    mixed = torch.zeros_like(x)
    for b in range(2):
        for c in range(8):
            weights = numbers[b, 3 * c : 3 * c + 3].softmax(0)
            mixed[b, c] = sum(w * way[b, c] for w, way in zip(weights, ways, strict=True))
    assert torch.allclose(layer(x), layer.out(mixed), atol=1e-5)


def test_whole_regions_move_with_the_image():
    layer = shaken(HireMix(8, 4, 0))
    x = torch.randn(1, 8, 8, 12)
    assert torch.allclose(layer(x.roll((4, 8), (2, 3))), layer(x).roll((4, 8), (2, 3)), atol=1e-6)
    assert not torch.allclose(layer(x.roll(2, 2)), layer(x).roll(2, 2), atol=1e-3)


def test_shifts_of_the_blocks():
    stages = HireMLP("hire_mlp_tiny", depths=(2, 2, 4, 2), dims=(8, 8, 8, 8)).stages
    assert [[block.mix.rows.step for block in stage.blocks] for stage in stages] == [
        [0, 2],
        [0, 2],
        [0, 1, 2, 0],
        [0, 1],
    ]


def test_nothing_of_an_odd_image_is_cut_off():
    model = HireMLP("hire_mlp_test", dense=True).eval()
    assert [m.shape[-2:] for m in model(torch.randn(1, 3, 97, 131))] == [(25, 33), (13, 17), (7, 9), (4, 5)]
