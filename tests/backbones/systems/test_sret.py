"""SReT against its official numbers, its closed form, and its slices written as loops."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from closed_form import conv, depthwise, gmacs, linear, norm, parameters

from mixpro_bench.backbones import Need
from mixpro_bench.backbones.sret import RecursiveBlock, SlicedAttention, SReT, permutation, sliced_attention

pytestmark = pytest.mark.systems


def closed_form(dim: int, mlp: float, projection: float, side: int = 28) -> int:
    stem = conv(3, dim // 2, 3) + conv(dim // 2, dim, 3) + conv(dim, dim, 3) + norm(dim // 2) + 2 * norm(dim)
    total = stem + dim * side**2
    for i, unique in enumerate((2, 5, 3)):
        c = dim * 2**i
        m, p = int(mlp * c), int(projection * c)
        total += unique * (2 * norm(c) + linear(c, 3 * c) + linear(c, c) + linear(c, m) + linear(m, c) + 4)
        total += 2 * unique * (norm(c) + linear(c, p) + linear(p, c) + 2)
        total += 2 * depthwise(c // 2, 3) if i else 0
    return total + norm(c) + linear(c, 1000)


@pytest.mark.parametrize(
    ("variant", "official", "closed"),
    [
        ("sret_tiny", 4_755_979, closed_form(64, 3.6, 1.0)),
        ("sret_small", 20_899_692, closed_form(126, 3.0, 2.0)),
    ],
)
def test_parameters(variant: str, official: int, closed: int):
    assert parameters(SReT, variant) == official == closed


@pytest.mark.parametrize(
    ("variant", "sliced", "whole"), [("sret_tiny", 1.11, 1.4), ("sret_small", 4.2, 4.7)], ids=lambda value: str(value)
)
def test_macs(variant: str, sliced: float, whole: float):
    assert gmacs(SReT, variant) == pytest.approx(sliced, rel=0.02)
    # Slices cost no parameters and save what the released table says (one decimal place).
    assert gmacs(SReT, variant, slices=((1, 1),) * 3) == pytest.approx(whole, abs=0.05)
    assert parameters(SReT, variant, slices=((1, 1),) * 3) == parameters(SReT, variant)


@pytest.mark.parametrize(("n", "slices"), [(24, 1), (24, 4), (24, 8), (23, 4), (5, 8)])
def test_tokens_attend_within_their_slice(n: int, slices: int):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, n, 8).unbind()
    expected = torch.empty_like(v)
    first = 0
    for i in range(slices):
        stop = first + n // slices + (i < n % slices)
        for b in range(2):
            for h in range(3):
                for t in range(first, stop):
                    weights = (k[b, h, first:stop] @ q[b, h, t] / 8**0.5).softmax(0)
                    expected[b, h, t] = weights @ v[b, h, first:stop]
        first = stop
    assert first == n
    assert torch.allclose(sliced_attention(q, k, v, slices), expected, atol=1e-5)


def test_shuffled_tokens_come_back_to_their_place():
    torch.manual_seed(0)
    layer = SlicedAttention(16, 2).eval()
    x = torch.randn(2, 40, 16)
    order = permutation(40, False, x.device)
    inside, _ = layer(x[:, order], 4, shuffle=False)
    shuffled, _ = layer(x, 4, shuffle=True)
    assert torch.allclose(shuffled[:, order], inside, atol=1e-6)
    assert (shuffled - layer(x, 4, shuffle=False)[0]).abs().max() > 1e-3


def test_permutations():
    for n in (1, 2, 49, 784, 16700):
        order = permutation(n, False, torch.device("cpu"))
        assert torch.equal(order.sort().values, torch.arange(n))
        assert torch.equal(order, permutation(n, False, torch.device("cpu")))
    # A scramble: tokens of one slice come from all over the image, neighbours do not stay together.
    order = permutation(784, False, torch.device("cpu"))
    halves = [int((part < 392).sum()) for part in order.chunk(2)]
    assert all(150 < count < 242 for count in halves)
    assert (order.diff().abs() == 1).sum() < 10
    torch.manual_seed(0)
    drawn = [permutation(784, True, torch.device("cpu")) for _ in range(2)]
    assert not torch.equal(*drawn)


def test_evaluation_is_deterministic_and_training_is_not():
    torch.manual_seed(0)
    model = SReT("sret_test", num_classes=5)
    x = torch.randn(2, 3, 64, 64)
    model.eval()
    assert torch.equal(model(x).logits, model(x).logits)
    # A block has no batch norm and no dropout here: what differs is the order of tokens in the second pass.
    block = model.stages[0].blocks[0].train()
    tokens = torch.randn(1, 64, 16)
    assert (block(tokens)[0] - block(tokens)[0]).abs().max() > 1e-4


def test_a_block_runs_twice_with_the_same_weights():
    torch.manual_seed(0)
    block = RecursiveBlock(16, 2, 3.6, 1.0, (1, 1), (0.0, 0.0)).eval()
    for parameter in (block.keep, block.add, block.projections[0].keep, block.projections[1].add):
        torch.nn.init.uniform_(parameter, 0.5, 2)
    x = torch.randn(2, 9, 16)
    expected = x
    for projection in block.projections:
        q, k, v = block.attn.qkv(block.norm1(expected)).split(16, dim=2)
        heads = [
            (q[..., p] @ k[..., p].transpose(1, 2) / 8**0.5).softmax(2) @ v[..., p] for p in (slice(8), slice(8, 16))
        ]
        expected = block.keep[0] * expected + block.add[0] * block.attn.proj(torch.cat(heads, dim=2))
        expected = block.keep[1] * expected + block.add[1] * block.mlp(block.norm2(expected))
        expected = projection.keep * expected + projection.add * projection.mlp(projection.norm(expected))
    assert torch.allclose(block(x)[0], expected, atol=1e-5)


def test_importance_is_the_mean_row_of_the_last_pass():
    torch.manual_seed(0)
    model = SReT("sret_test", num_classes=5).eval()
    x = torch.randn(2, 3, 96, 141)
    seen = []
    attn = model.stages[-1].blocks[-1].attn
    attn.qkv.register_forward_hook(lambda _, __, out: seen.append(out))
    found = model(x, need=Need("auto")).importance
    assert len(seen) == 2
    q, k, _ = seen[-1].unflatten(2, (3, attn.heads, -1)).permute(2, 0, 3, 1, 4)
    weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1).mean(dim=(1, 2))
    assert found.shape == (2, 3, 5)
    assert torch.allclose(found.flatten(1), weights, atol=1e-5)


def test_class_activations_are_the_logits_terms():
    torch.manual_seed(0)
    model = SReT("sret_test", num_classes=5).eval()
    torch.nn.init.normal_(model.norm.weight)
    torch.nn.init.normal_(model.norm.bias)
    x = torch.randn(3, 3, 64, 96)
    out = model(x, need=Need("cam", tokens=True))
    pooled = out.tokens.mean((2, 3))
    spread = (pooled.var(dim=1, unbiased=False) + model.norm.eps).sqrt()
    for label in range(5):
        terms = out.cam.activation(torch.full((3,), label))
        start = model.head.weight[label] @ model.norm.bias + model.head.bias[label]
        assert torch.allclose(terms.mean((1, 2)) / spread + start, out.logits[:, label], atol=1e-5)


def test_maps_of_odd_images():
    model = SReT("sret_test", dense=True).eval()
    assert model.out_strides == [8, 8, 16, 32]
    for h, w in ((64, 64), (96, 141), (9, 40)):
        maps = model(torch.randn(1, 3, h, w))
        assert [tuple(m.shape[2:]) for m in maps] == [(-(-h // s), -(-w // s)) for s in model.out_strides]
