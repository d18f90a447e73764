"""MSG-Transformer against its official numbers, its closed form, and its operators written as loops."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
from closed_form import conv, gmacs, linear, norm, parameters

from mixpro_bench.backbones import Need
from mixpro_bench.backbones.msg import MSGBlock, MSGTransformer, shuffle

pytestmark = pytest.mark.systems


def closed_form(dim: int, heads: int, depths: tuple[int, ...] = (2, 4, 12, 4)) -> int:
    total = conv(3, dim, 7) + norm(dim) + 16 * dim
    for i, depth in enumerate(depths):
        c, h = dim * 2**i, heads * 2**i
        total += conv(c // 2, c, 3) + norm(c) if i else 0
        mlp = linear(c, 4 * c) + linear(4 * c, c)
        total += depth * (2 * norm(c) + linear(c, 3 * c) + linear(c, c) + 169 * h + 2 * h + mlp)
    return total + norm(c) + linear(c, 1000)


def test_parameters():
    assert parameters(MSGTransformer, "msg_tiny") == 25_086_116 == closed_form(64, 2)


def test_macs():
    assert gmacs(MSGTransformer, "msg_tiny") == pytest.approx(3.82, rel=0.02)


@pytest.mark.parametrize(("side", "rows", "columns", "dim"), [(2, 4, 6, 8), (4, 8, 4, 32), (1, 3, 5, 4)])
def test_shuffle_sends_a_chunk_to_every_window_of_the_region(side: int, rows: int, columns: int, dim: int):
    torch.manual_seed(0)
    messengers = torch.randn(2, rows, columns, dim)
    expected = torch.empty_like(messengers)
    chunk = dim // side**2
    for top in range(0, rows, side):
        for left in range(0, columns, side):
            for i in range(side**2):
                for j in range(side**2):
                    sender = messengers[:, top + i // side, left + i % side, j * chunk : (j + 1) * chunk]
                    expected[:, top + j // side, left + j % side, i * chunk : (i + 1) * chunk] = sender
    found = shuffle(messengers, side)
    assert torch.equal(found, expected)
    assert torch.equal(shuffle(found, side), messengers)
    assert side == 1 or not torch.equal(found, messengers)


def random_block(dim: int, heads: int, window: int, region: int) -> MSGBlock:
    torch.manual_seed(0)
    block = MSGBlock(dim, heads, window, region, 0.0).eval().requires_grad_(False)
    for parameter in (block.bias.table, block.to_messenger, block.from_messenger):
        torch.nn.init.normal_(parameter)
    torch.nn.init.normal_(block.attn.qkv.weight, std=0.4)
    return block


def by_hand(block: MSGBlock, messengers: Tensor, local: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Do what the block does, window by window and head by head, with the real tokens alone."""
    heads, dim = block.attn.heads, local.shape[-1]
    d, side = dim // heads, block.bias.window[0]
    n = side**2
    bias = torch.zeros(heads, 1 + n, 1 + n)
    bias[:, 0] = block.from_messenger[:, None]
    bias[:, 1:, 0] = block.to_messenger[:, None]
    for a in range(n):
        for b in range(n):
            offset = (a // side - b // side + side - 1, a % side - b % side + side - 1)
            bias[:, 1 + a, 1 + b] = block.bias.table[:, offset[0], offset[1]]
    size = messengers.shape[1:3]
    sent, tokens = messengers.flatten(1, 2).clone(), local.clone()
    real = torch.ones(local.shape[1], 1 + n, dtype=torch.bool) if mask is None else mask
    for image in range(len(local)):
        for w in range(local.shape[1]):
            keep = real[w]
            x = torch.cat((sent[image, w : w + 1], tokens[image, w]))[keep]
            q, k, v = block.attn.qkv(block.norm1(x)).split(dim, dim=1)
            parts = [slice(h * d, (h + 1) * d) for h in range(heads)]
            mixed = [
                (q[:, p] @ k[:, p].T / d**0.5 + bias[h][keep][:, keep]).softmax(1) @ v[:, p]
                for h, p in enumerate(parts)
            ]
            x = x + block.attn.proj(torch.cat(mixed, dim=1))
            sent[image, w], tokens[image, w, keep[1:]] = x[0], x[1:]
    sent = shuffle(sent.unflatten(1, size), block.region)
    return sent + block.mlp(block.norm2(sent)), tokens + block.mlp(block.norm2(tokens))


@pytest.mark.parametrize("masked", [False, True])
def test_block_is_its_description(masked: bool):
    block = random_block(16, 2, 3, 2)
    messengers, local = torch.randn(2, 2, 4, 16), torch.randn(2, 8, 9, 16)
    mask = None
    if masked:
        mask = torch.ones(8, 10, dtype=torch.bool)
        mask[1, 4:] = mask[5, [3, 6, 9]] = mask[7, 1:] = False
    found = block(messengers, local, mask)
    expected = by_hand(block, messengers, local, mask)
    real = torch.ones(8, 9, dtype=torch.bool) if mask is None else mask[:, 1:]
    assert torch.allclose(found[0], expected[0], atol=1e-5)
    assert torch.allclose(found[1][:, real], expected[1][:, real], atol=1e-5)


def test_messages_reach_the_windows_of_their_region_and_no_other():
    block = random_block(16, 2, 2, 2)
    messengers, local = torch.randn(1, 2, 4, 16), torch.randn(1, 8, 4, 16)
    base = block(messengers, local, None)
    changed = local.clone()
    changed[0, 1] = torch.randn(4, 16)  # second window of the first of two regions
    found = block(messengers, changed, None)
    reached = (found[0] - base[0]).abs().sum(-1)[0] > 1e-5
    assert reached.tolist() == [[True, True, False, False]] * 2
    windows = (found[1] - base[1]).abs().sum((2, 3))[0] > 1e-5
    assert windows.tolist() == [False, True] + 6 * [False]


def test_what_the_messenger_gives_to_all_alike_changes_nothing():
    block = random_block(16, 2, 2, 2)
    messengers, local = torch.randn(1, 2, 2, 16), torch.randn(1, 4, 4, 16)
    before = block(messengers, local, None)
    torch.nn.init.normal_(block.from_messenger)
    assert torch.allclose(block(messengers, local, None)[0], before[0], atol=1e-5)


def test_importance_is_the_row_of_the_messenger():
    torch.manual_seed(0)
    model = MSGTransformer("msg_test", num_classes=3).eval()
    block = model.stages[-1].blocks[-1]
    torch.nn.init.normal_(block.attn.qkv.weight, std=0.3)
    seen = []
    block.attn.qkv.register_forward_hook(lambda _, __, out: seen.append(out))
    found = model(torch.randn(2, 3, 64, 96), need=Need("class_attn")).importance
    q, k, _ = seen[-1].unflatten(-1, (3, block.attn.heads, -1)).movedim(-3, 0)
    assert q.shape[:3] == (2, 2, 5)
    products = (q[:, :, :1] * k).sum(-1) / q.shape[-1] ** 0.5
    first = products[:, 0].softmax(1)[:, 1:].mean(-1).reshape(2, 2, 2)
    second = products[:, 1, [0, 1, 3]].softmax(1)[:, 1:].mean(-1)[:, :, None]  # 96 px: its right half is no image
    expected = torch.cat((first, second), dim=2)
    assert found.std() > 1e-2
    assert torch.allclose(found, expected / expected.sum((1, 2), keepdim=True), atol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (64, 128), (96, 141), (33, 40)])
def test_any_size_has_whole_regions(size: tuple[int, int]):
    torch.manual_seed(0)
    model = MSGTransformer("msg_test", dense=True).eval()
    shapes: list[tuple[int, ...]] = []
    for stage in model.stages:
        stage.blocks[0].register_forward_pre_hook(lambda _, args: shapes.append(tuple(args[0].shape[1:3])))
    maps = model(torch.randn(1, 3, *size))
    assert [tuple(m.shape[2:]) for m in maps] == [tuple(-(-side // s) for side in size) for s in (4, 8, 16, 32)]
    whole = [-(-side // 64) for side in size]
    assert shapes == [(8 * whole[0] >> i, 8 * whole[1] >> i) for i in range(4)]


def test_what_is_filled_up_is_not_seen():
    torch.manual_seed(0)
    model = MSGTransformer("msg_test", dense=True).eval()
    x = torch.randn(1, 3, 72, 100)
    maps = model(x)
    for block in (b for stage in model.stages for b in stage.blocks):
        block.register_forward_pre_hook(lambda _, args: (args[0], spoil(args[1], args[2]), *args[2:]))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(maps, model(x), strict=True))


def spoil(local: Tensor, mask: Tensor | None) -> Tensor:
    return local if mask is None else local.masked_fill(~mask[:, 1:, None], 1e3)
