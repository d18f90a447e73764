"""HorNet against its official numbers, its closed form, and its operators written as loops."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parent))
from closed_form import conv, depthwise, gmacs, linear, norm, parameters

from mixpro_bench.backbones import Need
from mixpro_bench.backbones.hornet import SCALE, GatedConv, HorNet, global_filter, resize_spectrum

pytestmark = pytest.mark.systems


def closed_form(dim: int, filters: bool, depths: tuple[int, ...] = (2, 3, 18, 2), side: int = 56) -> int:
    total = conv(3, dim, 4) + norm(dim)
    for i, depth in enumerate(depths):
        c, order, h = dim * 2**i, i + 2, side // 2**i
        if i:
            total += norm(c // 2) + conv(c // 2, c, 2)
        dims = [c // 2**k for k in reversed(range(order))]
        s = sum(dims)
        spatial = 2 * norm(s) + 9 * s // 2 + s * h * (h // 2 + 1) if filters and i >= 2 else depthwise(s, 7)
        widen = sum(linear(a, b) for a, b in itertools.pairwise(dims))
        mlp = linear(c, 4 * c) + linear(4 * c, c)
        total += depth * (2 * norm(c) + linear(c, 2 * c) + spatial + widen + linear(c, c) + mlp + 2 * c)
    return total + norm(c) + linear(c, 1000)


@pytest.mark.parametrize(
    ("variant", "dim", "filters", "official"),
    [
        ("hornet_tiny", 64, False, 22_409_512),
        ("hornet_tiny_gf", 64, True, 22_991_848),
        ("hornet_small", 96, False, None),
        ("hornet_base_gf", 128, True, None),
    ],
)
def test_parameters(variant: str, dim: int, filters: bool, official: int | None):
    assert parameters(HorNet, variant) == closed_form(dim, filters)
    assert official in (None, closed_form(dim, filters))


@pytest.mark.parametrize(("variant", "official"), [("hornet_tiny", 3.97), ("hornet_tiny_gf", 3.89)])
def test_macs(variant: str, official: float):
    assert gmacs(HorNet, variant) == pytest.approx(official, rel=0.02)


def test_gated_convolution_is_its_recursion():
    torch.manual_seed(0)
    layer = GatedConv(8, 3).double()
    x = torch.randn(2, 8, 5, 6, dtype=torch.double)
    projected = torch.einsum("oc,bchw->bohw", layer.project.weight[..., 0, 0], x) + layer.project.bias[:, None, None]
    gates = F.pad(projected[:, 2:], (3, 3, 3, 3))
    mixed = torch.zeros(2, 14, 5, 6, dtype=torch.double)
    for i in range(5):
        for j in range(6):
            near = gates[:, :, i : i + 7, j : j + 7]
            mixed[:, :, i, j] = (near * layer.spatial.weight[:, 0]).sum((2, 3)) + layer.spatial.bias
    mixed = mixed * SCALE
    y = projected[:, :2] * mixed[:, :2]
    y = layer.widen[0](y) * mixed[:, 2:6]
    y = layer.widen[1](y) * mixed[:, 6:14]
    assert torch.allclose(layer(x), layer.out(y), atol=1e-10)


def test_global_filter_is_a_circular_convolution():
    torch.manual_seed(0)
    h, w = 6, 4
    x, weight = torch.randn(2, 3, h, w), torch.randn(3, h, w // 2 + 1, 2)
    kernel = torch.fft.irfft2(torch.view_as_complex(weight), s=(h, w))
    slow = torch.zeros(2, 3, h, w)
    for i in range(h):
        for j in range(w):
            for a in range(h):
                for b in range(w):
                    slow[:, :, i, j] += kernel[:, a, b] * x[:, :, (i - a) % h, (j - b) % w]
    assert torch.allclose(global_filter(x, weight), slow, atol=1e-5)


@pytest.mark.parametrize("size", [(6, 4), (7, 9)])
def test_global_filter_moves_with_the_image(size: tuple[int, int]):
    torch.manual_seed(0)
    x, weight = torch.randn(1, 4, *size), torch.randn(4, 6, 3, 2)
    moved = global_filter(x.roll((2, 3), (2, 3)), weight)
    assert torch.allclose(moved, global_filter(x, weight).roll((2, 3), (2, 3)), atol=1e-5)


def test_global_filter_is_done_in_float32():
    x = torch.randn(1, 4, 6, 10)
    weight = torch.randn(4, 6, 6, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(global_filter(x, weight), global_filter(x.float(), weight))
        assert global_filter(x.bfloat16(), weight).dtype == torch.float32


def test_resized_spectrum_keeps_its_ends():
    weight = torch.randn(2, 14, 8, 2)
    assert resize_spectrum(weight, (14, 8)) is weight
    larger = resize_spectrum(weight, (27, 15))
    assert torch.allclose(larger[:, ::2, ::2], weight, atol=1e-5)


def test_activation_maps_know_the_gain_of_the_norm():
    torch.manual_seed(0)
    model = HorNet("hornet_test", num_classes=5).eval()
    torch.nn.init.uniform_(model.norm.weight)
    x = torch.randn(2, 3, 64, 64)
    out = model(x, need=Need("auto", tokens=True))
    pooled = out.tokens.mean((2, 3))
    spread = (pooled.var(1, correction=0) + 1e-6).sqrt()
    centred = pooled - pooled.mean(1, keepdim=True)
    speaks = torch.einsum("bc,kc->bk", centred, out.cam.weight) / spread[:, None]
    assert torch.allclose(speaks + model.head.bias + model.head.weight @ model.norm.bias, out.logits, atol=1e-5)


@pytest.mark.parametrize("variant", ["hornet_test", "hornet_gf_test"])
def test_nothing_of_an_odd_image_is_cut_off(variant: str):
    model = HorNet(variant, dense=True).eval()
    assert [m.shape[-2:] for m in model(torch.randn(1, 3, 97, 131))] == [(25, 33), (13, 17), (7, 9), (4, 5)]
