"""FCViT against its official numbers, its closed form, and its operators written as loops."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from closed_form import conv, depthwise, gmacs, linear, norm, parameters

from mixpro_bench.backbones import Need
from mixpro_bench.backbones.fcvit import FCViT, GlobalContext, Round

pytestmark = pytest.mark.systems


def closed_form(dims: tuple[int, ...], depths: tuple[int, ...], ratios: tuple[int, ...] = (8, 8, 4, 4)) -> int:
    total = conv(3, dims[0], 7) + norm(dims[0])
    for i, (c, depth, r) in enumerate(zip(dims, depths, ratios, strict=True)):
        if i:
            total += conv(dims[i - 1], c, 3) + norm(c)
        q = max(c // 8, 16)
        context = linear(c, c // 4) + linear(c // 8, c) + 16
        mixing = 2 * (context + depthwise(c, 11) + linear(c, q) + linear(q, c))
        total += depth * (2 * norm(c) + 2 * c + mixing + linear(c, r * c) + depthwise(r * c, 3) + linear(r * c, c))
    return total + norm(c) + linear(c, 1000)


@pytest.mark.parametrize(
    ("variant", "dims", "depths", "official"),
    [
        ("fcvit_tiny", (32, 64, 160, 320), (3, 3, 5, 2), 4_784_752),
        ("fcvit_b12", (64, 128, 320, 512), (2, 2, 6, 2), 14_701_832),
    ],
)
def test_parameters(variant: str, dims: tuple[int, ...], depths: tuple[int, ...], official: int):
    assert parameters(FCViT, variant) == closed_form(dims, depths) == official


def test_macs():
    assert gmacs(FCViT, "fcvit_tiny") == pytest.approx(0.90, rel=0.02)


def shaken(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for name, parameter in module.named_parameters():
        if name.endswith(("scale", "shift")):
            nn.init.normal_(parameter)
    return module


def slow_context(layer: GlobalContext, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    b, c, h, w = x.shape
    d = c // 8
    out, shares = torch.zeros_like(x), torch.zeros(b, 8, h, w)
    for n in range(b):
        whole = x[n].mean((1, 2))
        for head in range(8):
            part = slice(head * d, (head + 1) * d)
            for i in range(h):
                for j in range(w):
                    shares[n, head, i, j] = x[n, part, i, j] @ whole[part] / d**0.5
        shares[n] = (shares[n] - shares[n].mean()) / (shares[n].var(correction=0) + 1e-5).sqrt()
        reduced = layer.reduce(whole)
        context = layer.expand(torch.maximum(reduced[: c // 8], reduced[c // 8 :]))
        for head in range(8):
            shares[n, head] = layer.scale[head] * shares[n, head] + layer.shift[head]
            for k in range(head * d, (head + 1) * d):
                out[n, k] = shares[n, head] * context[k]
    return out, shares


@torch.no_grad()
def test_global_context():
    layer = shaken(GlobalContext(16))
    x = torch.randn(2, 16, 4, 5) + torch.randn(2, 16, 1, 1)
    for found, slow in zip(layer(x), slow_context(layer, x), strict=True):
        assert torch.allclose(found, slow, atol=1e-5)


@torch.no_grad()
def test_a_round_adds_the_context_and_looks_at_neighbours():
    layer = shaken(Round(16))
    x = torch.randn(1, 16, 6, 7)
    y = nn.functional.pad(x + slow_context(layer.context, x)[0], (5, 5, 5, 5))
    near = torch.zeros_like(x)
    for i in range(6):
        for j in range(7):
            near[:, :, i, j] = (y[:, :, i : i + 11, j : j + 11] * layer.near.weight[:, 0]).sum((2, 3)) + layer.near.bias
    first, _, second = layer.mlp
    places = near.permute(0, 2, 3, 1)
    hidden = nn.functional.gelu(places @ first.weight[..., 0, 0].T + first.bias)
    slow = nn.functional.gelu(hidden @ second.weight[..., 0, 0].T + second.bias).permute(0, 3, 1, 2)
    assert torch.allclose(layer(x)[0], slow, atol=1e-5)


@torch.no_grad()
def test_importance_is_the_last_contexts_shares():
    torch.manual_seed(0)
    model = FCViT("fcvit_test", num_classes=5).eval()
    x = torch.randn(2, 3, 64, 96)
    caught = []
    model.stages[-1].blocks[-1].second.context.register_forward_hook(lambda _m, i, _o: caught.append(i[0]))
    importance = model(x, need=Need("auto")).importance
    _, shares = slow_context(model.stages[-1].blocks[-1].second.context, caught[0])
    expected = shares.mean(1).flatten(1).softmax(1).view(2, 2, 3)
    assert torch.allclose(importance, expected, atol=1e-5)
    assert importance.std() > 1e-3


def test_importance_at_any_size_and_both_kinds():
    model = FCViT("fcvit_test", num_classes=5).eval()
    for size in ((64, 64), (97, 131)):
        x = torch.randn(2, 3, *size)
        assert model(x, need=Need("mean_attn")).importance.shape == (2, -(-size[0] // 32), -(-size[1] // 32))
        assert model(x, need=Need("cam")).importance is None
