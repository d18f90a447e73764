"""MixMIM's encoder against its official numbers, its closed form, and its windows written as loops."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
from closed_form import conv, gmacs, linear, norm, parameters

from mixpro_bench.backbones import Need
from mixpro_bench.backbones.mixmim import MixMIM, WindowBlock, same_image
from mixpro_bench.errors import UserError

pytestmark = pytest.mark.systems


def closed_form(dim: int, depths: tuple[int, ...], heads: int) -> int:
    total = conv(3, dim, 4) + norm(dim)
    for i, (depth, w) in enumerate(zip(depths, (14, 14, 14, 7), strict=True)):
        c, h = dim * 2**i, heads * 2**i
        total += norm(2 * c) + linear(2 * c, c, bias=False) if i else 0
        mlp = linear(c, 4 * c) + linear(4 * c, c)
        total += depth * (2 * norm(c) + linear(c, 3 * c) + linear(c, c) + (2 * w - 1) ** 2 * h + mlp)
    return total + norm(c) + linear(c, 1000)


def test_parameters():
    # The official count holds the fixed positions of 56 x 56 tokens, which are computed here.
    assert parameters(MixMIM, "mixmim_base") == 88_344_352 - 56 * 56 * 128 == closed_form(128, (2, 2, 18, 2), 4)
    assert parameters(MixMIM, "mixmim_tiny") == closed_form(96, (2, 2, 6, 2), 3)


def test_macs():
    assert gmacs(MixMIM, "mixmim_base") == pytest.approx(16.32, rel=0.02)


def random_block(dim: int, heads: int, window: int) -> WindowBlock:
    torch.manual_seed(0)
    block = WindowBlock(dim, heads, window, 0.0).eval().requires_grad_(False)
    torch.nn.init.normal_(block.bias.table)
    torch.nn.init.normal_(block.attn.qkv.weight, std=0.4)
    return block


def by_hand(block: WindowBlock, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Do what the block does, query by query; return the tokens, and the heads' mean weights (B, windows, N, N)."""
    heads, dim, side = block.attn.heads, x.shape[-1], block.bias.window[0]
    d = dim // heads
    q, k, v = block.attn.qkv(block.norm1(x)).split(dim, dim=-1)
    mixed, weights = torch.zeros_like(x), torch.zeros(*x.shape[:3], x.shape[2])
    for w in range(x.shape[1]):
        for n in range(side**2):
            keys = seen[w, n].nonzero()[:, 0]
            rows, columns = n // side - keys // side + side - 1, n % side - keys % side + side - 1
            for h in range(heads):
                part = slice(h * d, (h + 1) * d)
                products = (k[:, w, keys, part] * q[:, w, n, None, part]).sum(-1) / d**0.5
                attention = (products + block.bias.table[h, rows, columns]).softmax(-1)
                mixed[:, w, n, part] = (attention[..., None] * v[:, w, keys, part]).sum(1)
                weights[:, w, n, keys] += attention / heads
    x = x + block.attn.proj(mixed)
    return x + block.mlp(block.norm2(x)), weights


@pytest.mark.parametrize("case", ["whole", "padded", "mixed"])
def test_block_is_its_description(case: str):
    block = random_block(12, 3, 3)
    x = torch.randn(2, 4, 9, 12)
    seen, mask = torch.ones(4, 9, 9, dtype=torch.bool), None
    if case == "padded":
        mask = torch.ones(4, 9, dtype=torch.bool)
        mask[1, 6:] = mask[3, [2, 5, 6, 7, 8]] = False
        seen = mask[:, None].expand(-1, 9, -1)
    elif case == "mixed":
        mask = seen = same_image(torch.rand(6, 6) > 0.5, (6, 6), 3)
        assert 0.3 < seen.float().mean() < 0.9
    assert torch.allclose(block(x, mask)[0], by_hand(block, x, seen)[0], atol=1e-5)


def test_same_image():
    mask = torch.tensor([[True, False]])
    found = same_image(mask, (2, 5), 4)
    assert found.shape == (2, 16, 16)
    # Rows 0 and 1 of the first window: columns 0 to 2 show the other image, column 3 this one, the rest is filled up.
    image = [1, 1, 1, 0, 1, 1, 1, 0] + 8 * [2]
    assert torch.equal(found[0], torch.tensor([[a == b for b in image] for a in image]))


def test_no_token_sees_the_other_image_of_a_mix():
    torch.manual_seed(0)
    model = MixMIM("mixmim_test", num_classes=3).eval()
    x = torch.randn(2, 3, 64, 96, requires_grad=True)
    mask = torch.tensor([[True, False, True], [False, False, True]])
    maps, _ = model.trunk(x, mask)
    for stage, found in enumerate(maps):
        fine = mask.repeat_interleave(8 >> stage, 0).repeat_interleave(8 >> stage, 1)
        weights = torch.randn_like(found[0])
        for other, where in ((0, ~fine), (1, fine)):
            grad = torch.autograd.grad((found[0] * weights * where).sum(), x, retain_graph=True)[0]
            assert grad[1 - other].abs().max() == 0
            # Nor pixels of its own image that the mix does not show.
            shown = mask.repeat_interleave(32, 0).repeat_interleave(32, 1)
            shown = shown if other else ~shown
            assert grad[other][:, ~shown].abs().max() == 0
            assert grad[other][:, shown].abs().max() > 0


def test_a_mix_of_nothing_is_the_image():
    torch.manual_seed(0)
    model = MixMIM("mixmim_test", num_classes=3).eval()
    x = torch.randn(2, 3, 64, 64)
    plain, _ = model.trunk(x)
    nothing, _ = model.trunk(x, torch.zeros(2, 2, dtype=torch.bool))
    swapped, _ = model.trunk(x, torch.ones(2, 2, dtype=torch.bool))
    for a, b, c in zip(plain, nothing, swapped, strict=True):
        assert torch.allclose(a, b, atol=1e-5)
        assert torch.allclose(a.flip(0), c, atol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (48, 32), (32, 60)])
def test_importance_is_the_mean_row_of_real_tokens(size: tuple[int, int]):
    torch.manual_seed(0)
    model = MixMIM("mixmim_test", num_classes=3).eval().requires_grad_(False)
    block = model.stages[-1].blocks[-1]
    torch.nn.init.normal_(block.attn.qkv.weight, std=0.3)
    torch.nn.init.normal_(block.bias.table)
    entered = []
    block.register_forward_pre_hook(lambda _, args: entered.append(args[0]))
    x = torch.randn(2, 3, *size)
    found = model(x, need=Need("auto")).importance
    h, w = (-(-side // 32) for side in size)
    real = torch.zeros(2, 2, dtype=torch.bool)
    real[:h, :w] = True
    real = real.flatten()
    _, weights = by_hand(block, entered[0], real.expand(1, 4, 4))
    expected = weights[:, 0][:, real][:, :, real].mean(dim=1).reshape(2, h, w)
    assert torch.allclose(found, expected, atol=1e-5)


def test_attention_of_several_windows_is_no_importance():
    model = MixMIM("mixmim_test", num_classes=3).eval()
    x = torch.randn(1, 3, 64, 96)
    with pytest.raises(UserError, match="in images up to 64 px, not 64 x 96: ask for importance 'cam'"):
        model(x, need=Need("auto"))
    assert model(x, need=Need("cam")).cam.grid == (2, 3)
    assert model.importance_kinds == ("mean_attn", "cam")
    assert MixMIM("mixmim_test", img_size=96).importance_kinds == ("cam",)


def test_what_is_filled_up_is_not_seen():
    torch.manual_seed(0)
    model = MixMIM("mixmim_test", dense=True).eval()
    for size in ((72, 100), (33, 41)):
        x = torch.randn(1, 3, *size)
        maps = model(x)
        assert [tuple(m.shape[2:]) for m in maps] == [tuple(-(-side // s) for side in size) for s in (4, 8, 16, 32)]
        hooks = [b.register_forward_pre_hook(spoil) for stage in model.stages for b in stage.blocks]
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(maps, model(x), strict=True))
        for hook in hooks:
            hook.remove()


def spoil(_: object, args: tuple) -> tuple:
    x, mask, *rest = args
    return (x if mask is None else x.masked_fill(~mask[:, :, None], 1e3), mask, *rest)
