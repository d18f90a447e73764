"""Importance and share of every family against attention matrices taken out of timm's own, un-fused modules."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from timm.models.swin_transformer import window_partition
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
from small_backbones import build, half, images

from mixpro_bench.backbones import Need, Share, TimmBackbone
from mixpro_bench.backbones.swin import read_block

pytestmark = pytest.mark.usefixtures("_no_grad")


@pytest.fixture
def _no_grad():
    with torch.no_grad():
        yield


def matrices(model: TimmBackbone, x: Tensor, modules: list) -> list[Tensor]:
    """Return each attention module's softmax, averaged over heads, while timm's own forward runs un-fused."""
    found: list[Tensor] = []
    hooks = []
    for module in modules:
        module.fused_attn = False
        hooks.append(module.attn_drop.register_forward_pre_hook(lambda _, args: found.append(args[0].mean(dim=1))))
    model.model(x)
    for hook in hooks:
        hook.remove()
    assert len(found) == len(modules)
    assert max(s.amax() / s.mean() for s in found) > 1.5, "attention too uniform for this test to mean anything"
    return found


def distribution(row: Tensor, grid: tuple[int, int]) -> Tensor:
    return (row / row.sum(1, keepdim=True)).reshape(-1, *grid)


def ramp(batch: int = 2) -> Share:
    """Return a share of A that grows with the position and differs between images."""

    def at(h: int, w: int) -> Tensor:
        x = torch.linspace(0, 1, h * w).reshape(h, w)
        return torch.stack([(x * (i + 1)) % 1 for i in range(batch)])

    return Share(at(8, 8).mean((1, 2)), at)


@pytest.mark.parametrize(("family", "stack"), [("cait", "blocks_token_only"), ("xcit", "cls_attn_blocks")])
def test_class_attention_row(family: str, stack: str):
    model, x = build(family), images()
    row = matrices(model, x, [block.attn for block in getattr(model.model, stack)])[-1][:, 0, 1:]
    got = model(x, need=Need("class_attn")).importance
    assert torch.allclose(got, distribution(row, (4, 4)), atol=1e-6)


def test_tnt_row_and_share():
    model, x, share = build("tnt"), images(), ramp()
    found = matrices(model, x, [block.attn_out for block in model.model.blocks])
    out = model(x, need=Need("cls", share=True), share=share)
    assert torch.allclose(out.importance, distribution(found[-1][:, 0, 1:], (4, 4)), atol=1e-6)
    w = torch.cat((share.lam[:, None], share.at(4, 4).flatten(1)), dim=1)[..., None]
    for s in found:
        w = (w + s @ w) / 2
    assert torch.allclose(out.share, w[:, 0, 0], atol=1e-6)


def test_cait_share():
    """Talking heads: S is taken at the input of the second mixing of heads."""
    model, x, share = build("cait"), images(), ramp()
    found: list[Tensor] = []
    for block in model.model.blocks:
        block.attn.proj_w.register_forward_pre_hook(lambda _, args: found.append(args[0].mean(dim=-1)))
    rows = matrices(model, x, [block.attn for block in model.model.blocks_token_only])
    w = share.at(4, 4).flatten(1)[..., None]
    for s in found:
        assert torch.allclose(s.sum(-1), torch.ones(()), atol=1e-5)
        w = (w + s @ w) / 2
    token = share.lam[:, None, None]
    for row in rows:
        token = (token + row @ torch.cat((token, w), dim=1)) / 2
    assert torch.allclose(model(x, need=Need(share=True), share=share).share, token[:, 0, 0], atol=1e-6)


def test_pvt_row_and_share():
    model, x, share = build("pvt"), images(), ramp()
    blocks = [block for stage in model.model.stages for block in stage.blocks]
    found = iter(matrices(model, x, [block.attn for block in blocks]))
    w = share.at(16, 16)[:, None]
    for stage in model.model.stages:
        if stage.downsample is not None:
            w = F.avg_pool2d(w, 2)
        for block in stage.blocks:
            s = next(found)
            ratio = block.attn.sr.stride[0] if block.attn.sr is not None else 1
            keys = w.unfold(2, ratio, ratio).unfold(3, ratio, ratio).mean((-1, -2)).flatten(1)
            w = (w + (s @ keys[..., None]).reshape(w.shape)) / 2
    out = model(x, need=Need("mean_attn", share=True), share=share)
    assert torch.allclose(out.importance, distribution(s.mean(1), (2, 2)), atol=1e-6)
    assert torch.allclose(out.share, w.mean((1, 2, 3)), atol=1e-6)


def scattered(block, s: Tensor, h: int, w: int) -> Tensor:
    """Return a block's window matrices (B * windows, N, N) as one matrix over all tokens, (B, h * w, h * w).

    Which window a token is in is found by sending token numbers the way timm sends features.
    """
    number = torch.arange(h * w, dtype=torch.float).reshape(1, h, w, 1)
    number = torch.roll(number, [-side for side in block.shift_size], dims=(1, 2))
    windows = window_partition(number, block.window_size).flatten(1).long()
    whole = torch.zeros(s.shape[0] // len(windows), h * w, h * w)
    for i, tokens in enumerate(windows):
        whole[:, tokens[:, None], tokens[None]] = s[i :: len(windows)]
    return whole


def test_swin_row_and_share():
    model, x, share = build("swin"), images(), ramp()
    blocks = [block for stage in model.model.layers for block in stage.blocks]
    assert any(any(block.shift_size) for block in blocks)
    found = iter(matrices(model, x, [block.attn for block in blocks]))
    side = 16
    w = share.at(side, side).flatten(1)[..., None]
    for i, stage in enumerate(model.model.layers):
        if i:
            side //= 2
            w = w.reshape(2, side, 2, side, 2).mean((2, 4)).reshape(2, -1, 1)
        for block in stage.blocks:
            s = scattered(block, next(found), side, side)
            assert torch.allclose(s.sum(-1), torch.ones(()), atol=1e-5)
            w = (w + s @ w) / 2
    out = model(x, need=Need("mean_attn", share=True), share=share)
    assert torch.allclose(out.importance, distribution(s.mean(1), (side, side)), atol=1e-6)
    assert torch.allclose(out.share, w.mean((1, 2)), atol=1e-6)


def test_swin_reads_a_padded_grid():
    """A 5 x 7 grid does not fill windows of 2 x 2: features stay timm's, and padding has no share."""
    model = build("swin", dense=True)
    block = model.model.layers[1].blocks[1]
    assert any(block.shift_size)
    x = torch.randn(2, 5, 7, 48)
    out, row, share = read_block(block, x, torch.ones(2, 5, 7))
    assert torch.allclose(out, block(x), atol=1e-6)
    assert torch.allclose(share, torch.ones(2, 5, 7), atol=1e-6)
    assert row.shape == (2, 5, 7)


def test_swin_without_a_global_window_has_no_attention_to_give():
    model = build("swin", img_size=128)
    assert model.importance_kinds == ("cam",)
    assert model(images(size=(128, 128)), need=Need("auto")).cam is not None


@pytest.mark.parametrize("family", ["swin", "pvt", "pvt_linear", "sequencer", "gap"])
def test_class_activation_maps_average_to_the_logits(family: str):
    kwargs = dict(fc_norm=False) if family == "gap" else {}
    model, x = build(family, **kwargs), images()
    out = model(x, need=Need("cam"))
    head = model.model.head
    bias = getattr(head, "fc", head).bias
    for label in range(7):
        labels = torch.full((2,), label)
        found = out.cam.activation(labels).mean((1, 2)) + bias[label]
        assert torch.allclose(found, out.logits[:, label], atol=1e-5)


def test_class_activation_scores_by_hand():
    model, x = build("swin"), images()
    cam = model(x, need=Need("cam")).cam
    a, b, share = torch.tensor([0, 1]), torch.tensor([2, 3]), half().at(*cam.grid)
    scores = torch.zeros(2, *cam.grid)
    for i in range(2):
        for r in range(cam.grid[0]):
            for c in range(cam.grid[1]):
                label = a[i] if share[i, r, c] == 1 else b[i]
                scores[i, r, c] = max(0.0, float(cam.weight[label] @ cam.tokens[i, :, r, c])) + 1e-6
    expected = scores / scores.sum((1, 2), keepdim=True)
    assert torch.allclose(cam.importance(a, b, share), expected, atol=1e-6)
    assert not cam.tokens.requires_grad
    assert not cam.weight.requires_grad


def test_output_takes_labels_where_importance_depends_on_them():
    model, x, share = build("sequencer"), images(), half()
    out = model(x, need=Need("auto"))
    a, b = torch.tensor([0, 1]), torch.tensor([2, 3])
    assert torch.equal(out.for_labels(a, b, share.at).importance, out.cam.importance(a, b, share.at(*out.cam.grid)))
    alone = out.for_labels(a).importance
    assert torch.equal(alone, out.for_labels(a, b, lambda h, w: torch.ones(2, h, w)).importance)
    assert torch.equal(out.for_labels(a).logits, out.logits)
    other = build("vit")(x, need=Need("auto"))
    assert other.for_labels(a, b, share.at) is other


def test_no_activation_at_all_is_uniform():
    model, x = build("pvt"), images()
    model.model.head.weight.zero_()
    cam = model(x, need=Need("cam")).cam
    found = cam.importance(torch.tensor([0, 1]), torch.tensor([2, 3]), half().at(*cam.grid))
    assert torch.allclose(found, torch.full_like(found, 1 / found[0].numel()))


def test_parameter_count_of_patch_14():
    with torch.device("meta"):
        model = TimmBackbone("deit_tiny_patch16_224", patch_size=14)
    assert sum(p.numel() for p in model.parameters()) == 5_694_376
    assert model.patch_size == 14
    assert model.out_strides == [14] * 4


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("deit_tiny_patch16_224", 5_717_416),
        ("deit_small_patch16_224", 22_050_664),
        ("deit_base_patch16_224", 86_567_656),
        ("swin_tiny_patch4_window7_224", 28_288_354),
        ("pvt_v2_b0", 3_666_760),
        ("cait_xxs24_224", 11_956_264),
        ("xcit_tiny_12_p16_224", 6_716_272),
        ("xcit_nano_12_p16_224", 3_053_224),
        ("tnt_s_patch16_224", 23_768_584),
        ("sequencer2d_s", 27_651_688),
    ],
)
def test_parameter_counts(name: str, parameters: int):
    with torch.device("meta"):
        model = TimmBackbone(name, num_classes=1000)
    assert sum(p.numel() for p in model.parameters()) == parameters
