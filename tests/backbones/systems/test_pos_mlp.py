"""PosMLP against its official numbers, its closed form, and its operators written as loops."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from closed_form import conv, gmacs, linear, norm, parameters

from mixpro_bench.backbones.pos_mlp import Block, PositionalGate, PosMLP

pytestmark = pytest.mark.systems


def closed_form(dim: int, depths: tuple[int, ...] = (2, 2, 18, 2)) -> int:
    total = conv(3, dim // 2, 3) + norm(dim // 2) + conv(dim // 2, dim, 3) + norm(dim) + conv(dim, dim, 1) + norm(dim)
    sizes = zip(depths, (4, 4, 4, 2), (8, 16, 32, 64), (14, 14, 14, 7), strict=True)
    for i, (depth, r, g, w) in enumerate(sizes):
        c = dim * 2**i
        if i:
            total += c * 9 + c + norm(c)
        total += depth * (norm(c) + linear(c, r * c) + 6 * g + w**2 + linear(r * c // 2, c))
    return total + norm(c) + linear(c, 1000)


@pytest.mark.parametrize(
    ("variant", "dim", "official"), [("pos_mlp_t", 96, 20_925_538), ("pos_mlp_s", 128, 36_816_450)]
)
def test_parameters(variant: str, dim: int, official: int):
    assert parameters(PosMLP, variant) == closed_form(dim) == official


def test_macs():
    # The official count holds five products per pair of places and Gaussian, which are made per offset here.
    sizes = zip((2, 2, 18, 2), (8, 16, 32, 64), (14, 14, 14, 7), strict=True)
    pairs = sum(5 * depth * g * w**4 for depth, g, w in sizes)
    assert gmacs(PosMLP, "pos_mlp_t") + pairs / 1e9 == pytest.approx(5.18, abs=0.005)


def shaken(groups: int, window: int) -> PositionalGate:
    torch.manual_seed(0)
    gate = PositionalGate(groups, window)
    with torch.no_grad():
        gate.matrix.copy_(torch.randn(groups, 2, 2) * 0.5)
        gate.centre.normal_()
        gate.bias.normal_()
    return gate


def slow_weights(gate: PositionalGate, window: int) -> torch.Tensor:
    """Gaussians of the offset from every place to every other, one by one, with the y axis pointing up."""
    n = window**2
    out = torch.zeros(gate.groups, n, n)
    for s in range(gate.groups):
        form = gate.matrix[s] @ gate.matrix[s].T
        for a in range(n):
            for b in range(n):
                offset = torch.tensor([float(b % window - a % window), float(a // window - b // window)])
                away = offset - gate.centre[s]
                out[s, a, b] = -(away @ form @ away) / 2
    return out.softmax(2)


@torch.no_grad()
def test_weights_are_gaussians_whose_rows_sum_to_one():
    gate = shaken(3, 4)
    weights = gate.weights()
    assert torch.allclose(weights, slow_weights(gate, 4), atol=1e-6)
    assert torch.allclose(weights.sum(2), torch.ones(3, 16))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(gate.weights(), weights)


@torch.no_grad()
def test_gate_mixes_places():
    gate = shaken(2, 3)
    x = torch.randn(2, 4, 9, 6)
    weights = slow_weights(gate, 3)
    slow = torch.zeros_like(x)
    for m in range(9):
        for i in range(6):
            slow[:, :, m, i] = sum(weights[i % 2, m, n] * x[:, :, n, i] for n in range(9)) + gate.bias[m]
    assert torch.allclose(gate(x), slow, atol=1e-5)


@torch.no_grad()
def test_padding_takes_no_part():
    gate = shaken(2, 3)
    mask = torch.rand(4, 9) > 0.4
    mask[:, 0] = True
    x = torch.randn(2, 4, 9, 6) * mask[..., None]
    weights = slow_weights(gate, 3)
    out = gate(x, mask)
    for window in range(4):
        for m in mask[window].nonzero()[:, 0]:
            for i in range(6):
                shares = weights[i % 2, m] * mask[window]
                slow = (shares / shares.sum() * x[:, window, :, i]).sum(1) + gate.bias[m]
                assert torch.allclose(out[:, window, m, i], slow, atol=1e-5)


@torch.no_grad()
def test_windows_of_padding_alone_change_nothing():
    torch.manual_seed(0)
    block = Block(12, 4, 2, 4, 0.0)
    x = torch.randn(1, 12, 8, 8)
    assert torch.allclose(block(x[:, :, :4, :4]), block(x)[:, :, :4, :4], atol=1e-6)
    assert block(x[:, :, :5, :7]).shape == (1, 12, 5, 7)
    assert torch.allclose(block(x[:, :, :5, :7])[:, :, :4, :4], block(x)[:, :, :4, :4], atol=1e-6)


@torch.no_grad()
def test_block_is_one_gated_perceptron():
    torch.manual_seed(0)
    block = Block(12, 4, 2, 4, 0.0)
    block.gate = shaken(2, 4)
    x = torch.randn(2, 12, 4, 4)
    y = torch.nn.functional.gelu(block.widen(block.norm(x.flatten(2).mT)))
    mixed = block.gate(y[:, None, :, :24])[:, 0]
    assert torch.allclose(block(x), x + block.narrow(mixed * y[:, :, 24:]).mT.unflatten(2, (4, 4)), atol=1e-5)
