"""CA-Swin: Swin up to its last block, class attention written out from there."""

from __future__ import annotations

import pytest
import timm
import torch

from mixpro_bench.backbones import Need, Share
from mixpro_bench.backbones.ca_swin import CASwin

pytestmark = pytest.mark.systems


def built(**more) -> CASwin:
    torch.manual_seed(0)
    model = CASwin("ca_swin_test", num_classes=7, **more).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("qkv.weight", ".q.weight", ".kv.weight", "head.weight")):
                parameter.normal_(std=0.3)
    return model


def test_parameters_are_swins_without_one_bias_table_and_with_a_class_token():
    with torch.device("meta"):
        swin = timm.create_model("swin_tiny_patch4_window7_224")
        own = CASwin("ca_swin_tiny")
    swins, owns = (sum(p.numel() for p in model.parameters()) for model in (swin, own))
    assert owns == 28_285_066
    assert owns == swins - 13 * 13 * 24 + 768
    c, h = 768, 4 * 768
    block = 4 * c + 4 * (c * c + c) + c * h + h + h * c + c
    assert sum(p.numel() for p in own.class_block.parameters()) == block


@pytest.mark.parametrize("size", [(64, 64), (96, 141)])
def test_maps_are_those_of_swin_without_its_last_block(size: tuple[int, int]):
    """timm's own forward, with the same weights."""
    model = built(dense=True)
    swin = timm.create_model(
        "swin_tiny_patch4_window7_224",
        img_size=64,
        embed_dim=12,
        depths=(1, 2, 1, 1),
        num_heads=(1, 2, 2, 4),
        window_size=4,
        strict_img_size=False,
        num_classes=0,
    ).eval()
    swin.patch_embed.dynamic_img_pad = True
    swin.patch_embed.load_state_dict(model.stem.state_dict())
    swin.layers.load_state_dict(model.stages.state_dict())
    x = torch.randn(2, 3, *size)
    expected = swin.forward_intermediates(x, intermediates_only=True, norm=False)
    found = model(x)
    assert len(found) == 4
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_class_attention_written_out():
    model, x = built(), torch.randn(2, 3, 64, 64)
    tokens = model.encode(x).maps[-1].flatten(2).transpose(1, 2)
    block, heads, d = model.class_block, 4, 24
    attn = block.attn
    all_tokens = torch.cat((model.cls_token.expand(2, -1, -1), tokens), dim=1)
    normed = block.norm1(all_tokens)
    k, v = attn.kv(normed).chunk(2, dim=-1)
    out, rows = [], []
    for head in range(heads):
        part = slice(head * d, (head + 1) * d)
        weights = (attn.q(normed[:, :1])[..., part] @ k[..., part].transpose(1, 2) * d**-0.5).softmax(dim=-1)
        out.append(weights @ v[..., part])
        rows.append(weights[:, 0])
    token = all_tokens[:, :1] + attn.proj(torch.cat(out, dim=-1))
    token = token + block.mlp(block.norm2(token))
    expected = model.head(model.norm(token)[:, 0])
    found = model(x, need=Need("class_attn"))
    assert torch.allclose(found.logits, expected, atol=1e-5)
    row = torch.stack(rows).mean(dim=0)[:, 1:]
    assert torch.allclose(found.importance.flatten(1), row / row.sum(dim=1, keepdim=True), atol=1e-5)


def test_the_share_is_a_mean_of_shares():
    model, x = built(), torch.randn(2, 3, 64, 64)

    def carried(lam: float, left: float, right: float) -> torch.Tensor:
        def at(h: int, w: int) -> torch.Tensor:
            return torch.cat((torch.full((2, h, w // 2), left), torch.full((2, h, w - w // 2), right)), dim=2)

        return model(x, need=Need(share=True), share=Share(torch.full((2,), lam), at)).share

    assert torch.allclose(carried(1, 1, 1), torch.ones(2), atol=1e-5)
    a, b = carried(0.5, 1, 0), carried(0.5, 0, 1)
    assert torch.allclose(a + b, torch.ones(2), atol=1e-5)
    assert (a - 0.5).abs().max() > 1e-4, "the share did not move: this test would not see a mistake"
    assert not a.requires_grad
    plain = model(x).logits
    assert torch.allclose(model(x, need=Need("auto", share=True), share=half()).logits, plain, atol=1e-5)


def half() -> Share:
    return Share(torch.full((2,), 0.5), lambda h, w: (torch.arange(w) < w / 2).float().expand(2, h, w))
