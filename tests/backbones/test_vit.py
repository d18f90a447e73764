"""Plain ViTs against an un-fused reference, and the invariants of TL-Align's propagation."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from timm.layers import Attention
from timm.models.vision_transformer import Block
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from small_backbones import build, half, images

from mixpro_bench.backbones import Need, Share, TimmBackbone
from mixpro_bench.backbones.attention import attend
from mixpro_bench.backbones.vit import read_block
from mixpro_bench.errors import UserError

KINDS = ["vit", "distilled", "registers", "gap"]
ALL = Need("auto", share=True, tokens=True)


@torch.no_grad()
def matrices(model: TimmBackbone, x: Tensor) -> list[Tensor]:
    """Return every block's attention matrix (B, heads, T, T), computed without any fused kernel."""
    vit = model.model
    tokens, _, _ = model.family.embed(x)
    found = []
    for block in vit.blocks:
        attn = block.attn
        b, t, c = tokens.shape
        q, k, v = attn.qkv(block.norm1(tokens)).reshape(b, t, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4)
        s = (q @ k.transpose(-2, -1) * (c // attn.num_heads) ** -0.5).softmax(dim=-1)
        found.append(s)
        tokens = tokens + attn.proj((s @ v).transpose(1, 2).reshape(b, t, c))
        tokens = tokens + block.mlp(block.norm2(tokens))
    return found


def start(model: TimmBackbone, share: Share) -> Tensor:
    """Return the share of every token at the input, shape (B, T)."""
    patches = share.at(4, 4).flatten(1)
    return torch.cat((share.lam[:, None].expand(-1, model.family.prefix), patches), dim=1)


@pytest.mark.parametrize("kind", KINDS)
def test_reading_importance_leaves_logits_bit_equal(kind: str):
    model, x = build(kind), images()
    plain = model.model(x)
    assert torch.equal(model(x).logits, plain)
    for importance in model.importance_kinds:
        assert torch.equal(model(x, need=Need(importance, tokens=True)).logits, plain)
    assert torch.allclose(model(x, need=ALL, share=half()).logits, plain, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_importance_is_the_row_of_the_softmax(kind: str):
    model, x = build(kind), images()
    prefix = model.family.prefix
    last = matrices(model, x)[-1]
    expected = {"cls": last[:, :, 0, prefix:].mean(1), "mean_attn": last[:, :, prefix:, prefix:].mean((1, 2))}
    for importance in set(model.importance_kinds) & set(expected):
        got = model(x, need=Need(importance)).importance
        want = expected[importance] / expected[importance].sum(1, keepdim=True)
        assert torch.allclose(got.flatten(1), want, atol=1e-6)
        assert got.dtype == torch.float32
        assert not got.requires_grad
        assert (got >= 0).all()
        assert torch.allclose(got.sum((1, 2)), torch.ones(2))
    assert last.amax() > 3 * last.mean(), "the attention is too uniform for this test to mean anything"


def test_own_kind_follows_the_readout():
    assert build("vit").importance_kinds == ("cls", "mean_attn")
    assert build("gap").importance_kinds == ("mean_attn", "cam")
    assert build("vit", global_pool="map").importance_kinds == ("mean_attn",)
    assert not build("vit", global_pool="map").gives_share


@pytest.mark.parametrize("kind", KINDS)
def test_share_equals_rollout_and_label_columns(kind: str):
    model, x, share = build(kind), images(), half()
    w = start(model, share)
    columns = torch.stack((w, 1 - w, torch.zeros_like(w)), dim=-1)  # labels A, B and a third class
    rollout = torch.eye(w.shape[1]).expand(2, -1, -1)
    for s in matrices(model, x):
        s = s.mean(1)
        columns = (columns + s @ columns) / 2
        rollout = (torch.eye(w.shape[1]) + s) / 2 @ rollout
    read = {"vit": slice(0, 1), "distilled": slice(0, 2), "registers": slice(0, 1), "gap": slice(0, None)}[kind]
    got = model(x, need=Need(share=True), share=share).share
    assert torch.allclose(got, columns[:, read, 0].mean(1), atol=1e-6)
    assert torch.allclose(got, (rollout @ w[..., None])[:, read, 0].mean(1), atol=1e-6)
    assert torch.allclose(columns.sum(-1), torch.ones(()), atol=1e-6)
    assert not got.requires_grad
    assert (got - 0.5).abs().max() > 1e-3, "the share did not move: this test would not see a mistake"


@pytest.mark.parametrize("kind", KINDS)
def test_share_one_stays_one_and_uniform_attention_gives_the_area(kind: str):
    model, x = build(kind), images()
    ones = Share(torch.ones(2), lambda h, w: torch.ones(2, h, w))
    assert torch.allclose(model(x, need=ALL, share=ones).share, torch.ones(2), atol=1e-6)
    for block in model.model.blocks:
        nn.init.zeros_(block.attn.qkv.weight)
    assert torch.allclose(model(x, need=ALL, share=half()).share, torch.full((2,), 0.5), atol=1e-6)


def test_identity_attention_leaves_the_share():
    attn = Attention(16, num_heads=1)
    with torch.no_grad():
        attn.qkv.weight.copy_(torch.cat((40 * torch.eye(16), 40 * torch.eye(16), torch.eye(16))))
    w = torch.rand(1, 16)
    assert torch.allclose(attend(attn, torch.eye(16)[None], share=w)[2], w, atol=1e-6)


def test_attending_only_b_halves_the_share_with_every_block():
    block, lam = Block(16, num_heads=1, qkv_bias=True), 0.7
    block.norm1 = nn.Identity()
    x, w = torch.zeros(1, 9, 16), torch.ones(1, 9)
    x[:, 5:, 0], w[:, 5:], w[:, 0] = 1, 0, lam  # tokens 5 to 8 are of B and marked by the first channel
    with torch.no_grad():
        for parameter in block.attn.parameters():
            parameter.zero_()
        block.attn.qkv.weight[16, 0] = 30  # keys show the mark,
        block.attn.qkv.bias[0] = 30  # and every query looks for it
        for _ in range(3):
            _, _, w = read_block(block, x, read=None, prefix=1, share=w)
    assert w[0, 0].item() == pytest.approx(lam / 8, abs=1e-6)


def test_propagation_is_equivariant():
    block, x, w = Block(24, num_heads=3, qkv_bias=True).eval(), torch.randn(2, 10, 24), torch.rand(2, 10)
    order = torch.cat((torch.zeros(1, dtype=torch.long), 1 + torch.randperm(9)))
    out, row, mixed = read_block(block, x, read="cls", prefix=1, share=w)
    out2, row2, mixed2 = read_block(block, x[:, order], read="cls", prefix=1, share=w[:, order])
    assert torch.allclose(out[:, order], out2, atol=1e-6)
    assert torch.allclose(row[:, order[1:] - 1], row2, atol=1e-6)
    assert torch.allclose(mixed[:, order], mixed2, atol=1e-6)


def test_attention_dropout_does_not_touch_the_share():
    model = build("vit", attn_drop_rate=0.3)
    expected = model(images(), need=Need(share=True), share=half()).share
    attn = model.model.blocks[0].attn
    x, w = model.model.norm(model.family.embed(images())[0]), torch.rand(2, 17)
    assert torch.allclose(attend(attn.train(), x, share=w)[2], attend(attn.eval(), x, share=w)[2], atol=1e-6)
    assert torch.isfinite(expected).all()


def test_bf16_autocast():
    model, x, share = build("vit"), images(), half()
    exact = model(x, need=ALL, share=share)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(x, need=ALL, share=share)
    assert rough.logits.isfinite().all()
    assert rough.importance.dtype == rough.share.dtype == torch.float32
    assert torch.allclose(rough.importance.sum((1, 2)), torch.ones(2))
    assert (rough.share - exact.share).abs().max() < 5e-3


@pytest.mark.parametrize("bias", [True, False])
def test_the_share_rides_along_without_a_trace_in_the_gradients(bias: bool):
    torch.manual_seed(2)
    attn, x, w = Attention(48, num_heads=3, qkv_bias=bias), torch.randn(2, 10, 48), torch.rand(2, 10)
    direction = torch.randn(2, 10, 48)
    found = []
    for share in (None, w):
        attn.zero_grad()
        inputs = x.clone().requires_grad_()
        out, _, mixed = attend(attn, inputs, share=share)
        (out * direction).sum().backward()
        found.append([out.detach(), inputs.grad, *(p.grad.clone() for p in attn.parameters())])
    for plain, riding in zip(*found, strict=True):
        assert plain.abs().max() > 1e-3
        assert torch.allclose(plain, riding, atol=1e-6)
    assert mixed is not None
    assert not mixed.requires_grad


@pytest.mark.slow
def test_compile():
    model, x, share = build("vit"), images(), half()
    expected = model(x, need=ALL, share=share)
    expected.logits.square().sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    model.compile(backend="aot_eager")
    got = model(x, need=ALL, share=share)
    got.logits.square().sum().backward()
    for name, p in model.named_parameters():
        assert torch.allclose(p.grad, gradients[name], atol=1e-5), name
    assert torch.allclose(got.logits, expected.logits, atol=1e-5)
    assert torch.allclose(got.importance, expected.importance, atol=1e-5)
    assert torch.allclose(got.share, expected.share, atol=1e-5)


def test_patch_dropout_is_refused():
    with pytest.raises(UserError, match="patch_drop_rate"):
        build("vit", patch_drop_rate=0.1)


def test_unknown_name_names_neighbours():
    with pytest.raises(UserError, match=r"no timm model; near it: deit_tiny_patch16_224"):
        TimmBackbone("deit_tinny_patch16_224")


def test_unsupported_class_is_named():
    with pytest.raises(UserError, match="is a ResNet; supported are VisionTransformer"):
        TimmBackbone("resnet18")


def test_unknown_argument_is_named():
    with pytest.raises(UserError, match="drop_pth_rate"):
        build("vit", drop_pth_rate=0.1)


def test_image_size_must_fit_the_patch():
    with pytest.raises(UserError, match="no multiple of the model patch 16; the nearest sizes are 96 and 112"):
        build("vit", img_size=100)


@pytest.mark.parametrize("indices", [[0, 1, 2, 4], [-1]])
def test_out_indices_must_exist(indices: list[int]):
    with pytest.raises(UserError, match="blocks \\(or stages\\) 0 to 3"):
        build("vit", out_indices=indices)


def test_importance_it_cannot_give():
    with pytest.raises(UserError, match="cannot give importance='class_attn'; it gives cls, mean_attn"):
        build("vit").check(Need("class_attn"))
    with pytest.raises(UserError, match="cannot carry the share"):
        build("xcit").check(Need(share=True))
    with pytest.raises(ValueError, match="give its share at the input"):
        build("vit")(images(), need=Need(share=True))
