"""PVT against its official size and against mmdet's own implementation of it."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from mixpro_bench.backbones import Need, Share
from mixpro_bench.backbones.pvt_v1 import PVT, Block

pytestmark = pytest.mark.systems


def built(**more) -> PVT:
    torch.manual_seed(0)
    model = PVT("pvt_test", num_classes=7, **more).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith((".q.weight", ".kv.weight", "head.weight")):
                parameter.normal_(std=0.3)
    return model


def closed_form(depths, dims=(64, 128, 320, 512), reductions=(8, 4, 2, 1), ratios=(8, 8, 4, 4), classes=1000) -> int:
    def linear(i: int, o: int) -> int:
        return i * o + o

    total, before = 0, 3
    for i, (depth, c, sr, ratio) in enumerate(zip(depths, dims, reductions, ratios, strict=True)):
        patch, grid = 2 if i else 4, 56 // 2**i
        total += before * c * patch**2 + c + 2 * c + grid**2 * c
        reduction = c * c * sr * sr + c + 2 * c if sr > 1 else 0
        block = 4 * c + linear(c, c) + linear(c, 2 * c) + linear(c, c) + reduction
        total += depth * (block + linear(c, ratio * c) + linear(ratio * c, c))
        before = c
    return total + 2 * c + 2 * c + linear(c, classes)


@pytest.mark.parametrize(
    ("variant", "depths", "official"),
    [("pvt_tiny", (2, 2, 2, 2), 13_229_288), ("pvt_small", (3, 4, 6, 3), None), ("pvt_large", (3, 8, 27, 3), None)],
)
def test_parameters(variant: str, depths: tuple[int, ...], official: int | None):
    with torch.device("meta"):
        count = sum(p.numel() for p in PVT(variant).parameters())
    assert count == closed_form(depths)
    assert official in (None, count)


def test_attention_to_reduced_keys_written_out():
    """One key per patch of 2 x 2, those of the border of what is left there."""
    torch.manual_seed(0)
    block = Block(6, heads=2, mlp_ratio=2, reduction=2, drop_path=0.0)
    torch.nn.init.normal_(block.q.weight)
    torch.nn.init.normal_(block.kv.weight)
    h, w = 3, 5
    x = torch.randn(2, h * w, 6)
    normed = block.norm1(x)
    kernel, bias = block.reduce.weight, block.reduce.bias
    keys = torch.zeros(2, 2, 3, 6)
    for i in range(h):
        for j in range(w):
            for o in range(6):
                keys[:, i // 2, j // 2, o] += normed[:, i * w + j] @ kernel[o, :, i % 2, j % 2].detach()
    keys = block.reduced_norm(keys.flatten(1, 2) + bias)
    k, v = block.kv(keys).chunk(2, dim=-1)
    heads = [
        (block.q(normed)[..., s] @ k[..., s].transpose(1, 2) * 3**-0.5).softmax(dim=-1) @ v[..., s]
        for s in (slice(0, 3), slice(3, 6))
    ]
    expected = x + block.proj(torch.cat(heads, dim=-1))
    expected = expected + block.mlp(block.norm2(expected))
    found, row, share = block(x, (h, w))
    assert torch.allclose(found, expected, atol=1e-5)
    assert row is None
    assert share is None


@pytest.mark.mm
def test_maps_of_the_first_stages_are_mmdets():
    """mmdet's has no class token, so its last stage is another."""
    from mixpro_bench.compat import install

    install()
    from mmdet.models.backbones import PyramidVisionTransformer

    other = PyramidVisionTransformer(
        pretrain_img_size=64,
        embed_dims=16,
        num_stages=3,
        num_layers=[1, 1, 1],
        num_heads=[1, 1, 1],
        patch_sizes=[4, 2, 2],
        strides=[4, 2, 2],
        paddings=[0, 0, 0],
        sr_ratios=[8, 4, 2],
        mlp_ratios=[8, 8, 4],
        out_indices=(0, 1, 2),
        norm_after_stage=False,
    ).eval()
    torch.manual_seed(0)
    model = PVT("pvt_test", dims=(16, 16, 16, 16), heads=(1, 1, 1, 1), dense=True).eval()
    theirs = {}
    for name, value in model.state_dict().items():
        found = re.match(r"(?:stem|stages\.(\d)\.downsample)\.(.*)", name)
        if found:
            stage, rest = found[1] or "0", found[2]
            if rest == "position":
                theirs[f"layers.{stage}.1.0.pos_embed"] = value.flatten(2).transpose(1, 2)
            else:
                theirs[f"layers.{stage}.0.{rest.replace('proj', 'projection')}"] = value
        elif found := re.match(r"stages\.(\d)\.blocks\.0\.(.*)", name):
            stage, rest = f"layers.{found[1]}.1.1.", found[2]
            renamed = (
                rest.replace("reduced_norm", "attn.norm")
                .replace("reduce.", "attn.sr.")
                .replace("mlp.fc1", "ffn.layers.0")
                .replace("mlp.fc2", "ffn.layers.3")
            )
            if rest.startswith("proj"):
                theirs[f"{stage}attn.attn.out_{rest}"] = value
            elif rest.startswith("q."):
                kv = model.state_dict()[name.replace(".q.", ".kv.")]
                theirs[f"{stage}attn.attn.in_proj_{rest[2:]}"] = torch.cat((value, kv))
            elif not rest.startswith("kv."):
                theirs[stage + renamed] = value[..., None, None] if "ffn" in renamed and value.ndim == 2 else value
    wanted = set(other.state_dict())
    other.load_state_dict({name: value for name, value in theirs.items() if name in wanted})
    for m in other.modules():
        if isinstance(m, torch.nn.LayerNorm):
            m.eps = 1e-6
    x = torch.randn(2, 3, 64, 64)
    for a, b in zip(model(x), other(x), strict=False):
        assert torch.allclose(a, b, atol=1e-5)


def test_both_kinds_of_importance_are_rows_of_the_last_attention():
    model, x = built(), torch.randn(2, 3, 64, 64)
    block, seen = model.stages[-1].blocks[-1], {}
    block.norm1.register_forward_hook(lambda module, args, out: seen.update(x=out))
    model(x)
    q, k = block.q(seen["x"]), block.kv(seen["x"]).chunk(2, dim=-1)[0]
    weights = torch.stack(
        [
            (q[..., s] @ k[..., s].transpose(1, 2) * 16**-0.5).softmax(dim=-1)
            for s in (slice(0, 16), slice(16, 32), slice(32, 48))
        ]
    ).mean(dim=0)
    for kind, row in (("cls", weights[:, 0, 1:]), ("mean_attn", weights[:, 1:, 1:].mean(dim=1))):
        importance = model(x, need=Need(kind)).importance
        assert importance.shape == (2, 2, 2)
        assert torch.allclose(importance.flatten(1), row / row.sum(dim=1, keepdim=True), atol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (96, 141)])
def test_the_share_is_a_mean_of_shares(size: tuple[int, int]):
    model, x = built(), torch.randn(2, 3, *size)

    def carried(value: float, other: float) -> Tensor:
        def at(h: int, w: int) -> Tensor:
            return torch.where(torch.arange(w) < w / 2, value, other).expand(2, h, w)

        return model(x, need=Need(share=True), share=Share(torch.full((2,), (value + other) / 2), at)).share

    assert torch.allclose(carried(1.0, 1.0), torch.ones(2), atol=1e-5)
    a, b = carried(1.0, 0.0), carried(0.0, 1.0)
    assert torch.allclose(a + b, torch.ones(2), atol=1e-5)
    assert (a - 0.5).abs().max() > 1e-4, "the share did not move: this test would not see a mistake"
