"""CMT against its official numbers, its closed form, and its operators written as loops."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
from closed_form import conv, depthwise, gmacs, linear, norm, parameters

from mixpro_bench.backbones import Need, cmt
from mixpro_bench.backbones.cmt import CMT, CMTBlock, ConvMlp, Position, ReducedAttention, attend_in_strips

pytestmark = pytest.mark.systems

TI, XS, S = (46, 92, 184, 368), (52, 104, 208, 416), (64, 128, 256, 512)


def closed_form(dims: tuple[int, ...], depths: tuple[int, ...], ratio: float, stem: int, size: int) -> int:
    total = conv(3, stem, 3) + 2 * conv(stem, stem, 3) + 3 * norm(stem)
    for i, (c, depth, k) in enumerate(zip(dims, depths, (8, 4, 2, 1), strict=True)):
        m, n = int(ratio * c), (size // 4 // 2**i) ** 2
        total += conv(dims[i - 1] if i else stem, c, 2) + norm(c) + 2**i * n * (n // k**2)
        reduce = depthwise(c, k) + norm(c) if k > 1 else 0
        mlp = linear(c, m) + norm(m) + depthwise(m, 3) + norm(m) + linear(m, c) + norm(c)
        total += depth * (depthwise(c, 3) + 2 * norm(c) + 4 * linear(c, c) + reduce + mlp)
    return total + linear(dims[-1], 1280) + norm(1280) + linear(1280, 1000)


@pytest.mark.parametrize(
    ("variant", "size", "official", "closed"),
    [
        ("cmt_ti", 160, 9_492_426, closed_form(TI, (2, 2, 10, 2), 3.6, 16, 160)),
        ("cmt_ti", 224, 9_705_546, closed_form(TI, (2, 2, 10, 2), 3.6, 16, 224)),
        ("cmt_xs", 224, 15_379_808, closed_form(XS, (3, 3, 12, 3), 3.77, 16, 224)),
        ("cmt_s", 224, 26_256_160, closed_form(S, (3, 3, 16, 3), 4.0, 32, 224)),
    ],
)
def test_parameters(variant: str, size: int, official: int, closed: int):
    assert parameters(CMT, variant, img_size=size) == official == closed


@pytest.mark.parametrize(("size", "official"), [(160, 0.64), (224, 1.29)])
def test_macs(size: int, official: float):
    assert gmacs(CMT, "cmt_ti", size, img_size=size) == pytest.approx(official, rel=0.02)


def test_published_sizes():
    assert [CMT.variants[v].get("img_size", 224) for v in ("cmt_ti", "cmt_xs", "cmt_s")] == [160, 192, 224]


def test_attention_reduces_keys_and_adds_the_table():
    torch.manual_seed(0)
    layer = ReducedAttention(8, 2, 2).eval().requires_grad_(False)
    x, table = torch.randn(2, 8, 4, 6), torch.randn(2, 4, 6, 6)
    convolution, batch_norm = layer.reduce
    small = torch.zeros(2, 8, 2, 3)
    for i in range(2):
        for j in range(3):
            patch = x[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            small[:, :, i, j] = (patch * convolution.weight[:, 0]).sum((2, 3)) + convolution.bias
    small = batch_norm(small).flatten(2).transpose(1, 2)
    q, k, v = layer.q(x.flatten(2).transpose(1, 2)), layer.k(small), layer.v(small)
    mixed = torch.zeros(2, 24, 8)
    for h in range(2):
        part = slice(4 * h, 4 * h + 4)
        for n in range(24):
            products = (k[..., part] @ q[:, n, part, None])[..., 0] / 2 + table[h, n // 6, n % 6]
            mixed[:, n, part] = (products.softmax(1)[:, None] @ v[..., part])[:, 0]
    expected = layer.proj(mixed).transpose(1, 2).reshape(2, 8, 4, 6)
    assert torch.allclose(layer(x, table, None)[0], expected, atol=1e-5)


def test_mlp_has_a_shortcut_around_its_convolution():
    torch.manual_seed(0)
    mlp = ConvMlp(4, 6).eval().requires_grad_(False)
    for module in mlp.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.normal_(module.weight)
    x = torch.randn(1, 4, 5, 5)
    first, last = mlp.enter[0], mlp.leave[0]
    y = torch.einsum("oc,bchw->bohw", first.weight[..., 0, 0], x) + first.bias[:, None, None]
    y = mlp.enter[2](F.gelu(y))
    padded = F.pad(y, (1, 1, 1, 1))
    near = sum(
        padded[..., i : i + 5, j : j + 5] * mlp.local.weight[:, 0, i, j, None, None] for i in range(3) for j in range(3)
    )
    y = mlp.middle[1](F.gelu(y + near + mlp.local.bias[:, None, None]))
    y = torch.einsum("oc,bchw->bohw", last.weight[..., 0, 0], y) + last.bias[:, None, None]
    assert torch.allclose(mlp(x), mlp.leave[1](y), atol=1e-5)


def test_block_is_its_three_parts():
    torch.manual_seed(0)
    block = CMTBlock(8, 2, 2, 3.6, 0.0).eval()
    assert block.mlp.enter[0].out_channels == 28
    x, table = torch.randn(2, 8, 4, 4), torch.randn(2, 4, 4, 4)
    y = x + block.local(x)
    y = y + block.attn(block.norm1(y), table, None)[0]
    assert torch.allclose(block(x, table, None)[0], y + block.mlp(block.norm2(y)), atol=1e-6)


def resized(position: Position, grid: tuple[int, int], keys: tuple[int, int]) -> Tensor:
    """Resample the table over the queries for each key, after doing so over the keys for each query."""
    heads, h, w, _ = position.table.shape
    table = F.interpolate(position.table.reshape(heads, h * w, *position.keys), size=keys, mode="bicubic")
    table = table.flatten(2).transpose(1, 2).reshape(heads, -1, h, w)
    return F.interpolate(table, size=grid, mode="bicubic").permute(0, 2, 3, 1)


@pytest.mark.parametrize("grid", [(8, 8), (8, 12), (12, 8), (9, 13), (5, 3)])
def test_table_is_resampled_over_queries_and_keys(grid: tuple[int, int]):
    torch.manual_seed(0)
    position = Position(2, 8, 4)
    keys = (-(-grid[0] // 2), -(-grid[1] // 2))
    table, matrix = position.at(grid, keys)
    assert matrix is None
    assert torch.allclose(table, resized(position, grid, keys), atol=1e-5)
    assert (table is position.table) == (grid == (8, 8))


@pytest.mark.parametrize("limit", [1, 150, 1000])
def test_strips_are_the_whole(monkeypatch: pytest.MonkeyPatch, limit: int):
    torch.manual_seed(0)
    position = Position(2, 8, 4)
    q, k, v = (torch.randn(3, 2, n, 4, requires_grad=True) for n in (9 * 13, 35, 35))
    grid, keys = (9, 13), (5, 7)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=resized(position, grid, keys).flatten(1, 2))
    weights = torch.randn_like(expected)
    inputs = (q, k, v, position.table)
    wanted = torch.autograd.grad((expected * weights).sum(), inputs)
    monkeypatch.setattr(cmt, "LIMIT", limit)
    table, matrix = position.at(grid, keys)
    assert matrix is not None
    assert table.shape == (2, 8, 13, 35)
    found = attend_in_strips(q, k, v, table, matrix)
    assert torch.allclose(found, expected, atol=1e-5)
    for a, b in zip(torch.autograd.grad((found * weights).sum(), inputs), wanted, strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(attend_in_strips(q, k, v, table, matrix), expected, atol=1e-5)


def test_importance_is_the_mean_row_with_the_table():
    torch.manual_seed(0)
    model = CMT("cmt_test", num_classes=3).eval()
    attn = model.stages[-1].blocks[-1].attn
    seen = []
    for projection in (attn.q, attn.k):
        torch.nn.init.normal_(projection.weight, std=0.3)
        projection.register_forward_hook(lambda _, __, out: seen.append(out))
    found = model(torch.randn(2, 3, 64, 96), need=Need("auto")).importance
    q, k = (x.unflatten(2, (4, 8)).transpose(1, 2) for x in seen)
    table, _ = model.stages[-1].position.at((2, 3), (2, 3))
    weights = (q @ k.transpose(2, 3) / 8**0.5 + table.flatten(1, 2)).softmax(3)
    assert torch.allclose(found.flatten(1), weights.mean(dim=(1, 2)), atol=1e-5)
    assert found.std() > 1e-2


def test_maps_of_odd_images(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    model = CMT("cmt_test", dense=True).eval()
    for size in ((64, 64), (96, 141), (33, 40)):
        x = torch.randn(1, 3, *size)
        maps = model(x)
        assert [tuple(m.shape[2:]) for m in maps] == [tuple(-(-side // s) for side in size) for s in (4, 8, 16, 32)]
        with monkeypatch.context() as small:
            small.setattr(cmt, "LIMIT", 100)
            assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(maps, model(x), strict=True))
