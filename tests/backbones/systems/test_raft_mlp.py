"""RaftMLP against its official numbers, its closed form, and its operators written as loops."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parent))
from closed_form import gmacs, linear, norm, parameters

from mixpro_bench.backbones.raft_mlp import Block, Embedding, RaftMLP, TokenMix
from mixpro_bench.errors import UserError

pytestmark = pytest.mark.systems


def closed_form(dims: tuple[int, ...], depths: tuple[int, ...] = (2, 2, 6, 2)) -> int:
    total, before = 0, 3
    kernels = ((4, 8), (2, 4), (2, 4), (2,))
    for c, depth, sides, grid in zip(dims, depths, kernels, (56, 28, 14, 7), strict=True):
        q = 2 * grid
        total += linear(sum(k * k for k in sides) * before, c)
        token = norm(c) + linear(q, 2 * q) + linear(2 * q, q)
        total += depth * (2 * token + norm(c) + linear(c, 4 * c) + linear(4 * c, c))
        before = c
    return total + norm(c) + linear(c, 1000)


@pytest.mark.parametrize(
    ("variant", "dims", "official"),
    [
        ("raft_mlp_s", (64, 128, 256, 512), 9_868_768),
        ("raft_mlp_m", (96, 192, 384, 768), 21_413_632),
        ("raft_mlp_l", (128, 192, 512, 1024), 36_184_672),
    ],
)
def test_parameters(variant: str, dims: tuple[int, ...], official: int):
    assert parameters(RaftMLP, variant) == closed_form(dims) == official


def test_macs():
    assert gmacs(RaftMLP, "raft_mlp_s") == pytest.approx(2.09, rel=0.02)


@torch.no_grad()
@pytest.mark.parametrize("across", [False, True])
def test_token_mixing(across: bool):
    torch.manual_seed(0)
    r, side, c = 2, 5, 8
    layer = TokenMix(c, side, r)
    x = torch.randn(2, c, side, side)
    y = layer.norm(x)
    y = y.mT if across else y
    slow = torch.zeros_like(x)
    for line in range(side):
        for i in range(c // r):
            joint = torch.cat([y[:, group * (c // r) + i, :, line] for group in range(r)], dim=1)
            mixed = layer.mlp(joint)
            for group in range(r):
                slow[:, group * (c // r) + i, :, line] = mixed[:, group * side : (group + 1) * side]
    assert torch.allclose(layer(x, across=across), slow.mT if across else slow, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kernels", [(4, 8), (4,)])
def test_embedding_projects_patches_side_by_side(kernels: tuple[int, ...]):
    torch.manual_seed(0)
    layer = Embedding(3, 8, 4, kernels)
    x = torch.randn(2, 3, 16, 20)
    patches = torch.cat([F.unfold(x, k, stride=4, padding=(k - 4) // 2) for k in kernels], dim=1)
    slow = layer.project(patches.transpose(1, 2)).transpose(1, 2).unflatten(2, (4, 5))
    assert torch.allclose(layer(x), slow, atol=1e-5)


@torch.no_grad()
def test_modes_agree_at_their_own_size():
    torch.manual_seed(0)
    branch, official = RaftMLP("raft_mlp_test").eval(), RaftMLP("raft_mlp_test", mode="official").eval()
    official.load_state_dict(branch.state_dict())
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(branch(x).logits, official(x).logits)
    x = torch.randn(2, 3, 96, 160)
    assert not torch.allclose(branch(x).logits, official(x).logits, atol=1e-3)


@torch.no_grad()
def test_detail_passes_by_the_grid_but_not_in_official_mode():
    torch.manual_seed(0)
    x = torch.randn(1, 8, 12, 20)
    for mode in ("branch", "official"):
        block = Block(8, 4, 2, mode, 0.0)
        for layer in (block.down, block.across):
            torch.nn.init.zeros_(layer.mlp.fc2.weight)
            torch.nn.init.zeros_(layer.mlp.fc2.bias)
        untouched = x + block.mlp(block.norm(x))
        assert torch.allclose(block(x), untouched, atol=1e-5) == (mode == "branch")


@torch.no_grad()
def test_official_mode_resizes_the_whole_map():
    torch.manual_seed(0)
    block = Block(8, 4, 2, "official", 0.0)
    x = torch.randn(1, 8, 7, 9)
    y = F.interpolate(x, (4, 4), mode="bicubic")
    y = y + block.down(y)
    y = y + block.across(y, across=True)
    y = F.interpolate(y, (7, 9), mode="bicubic")
    assert torch.allclose(block(x), y + block.mlp(block.norm(y)), atol=1e-6)


def test_unknown_mode():
    with pytest.raises(UserError, match="mode='best'"):
        RaftMLP("raft_mlp_test", mode="best")


def test_nothing_of_an_odd_image_is_cut_off():
    model = RaftMLP("raft_mlp_test", dense=True).eval()
    assert [m.shape[-2:] for m in model(torch.randn(1, 3, 97, 131))] == [(25, 33), (13, 17), (7, 9), (4, 5)]
