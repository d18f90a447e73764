"""OAMixer against its base networks, its official size, and its operators written as loops."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import timm
import torch
from timm.layers import Attention, Mlp
from timm.models import ConvMixer, MlpMixer, VisionTransformer
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from closed_form import gmacs, parameters

from mixpro_bench.backbones import Need, Share
from mixpro_bench.backbones.oamixer import OAMixer, identity_labels, nonnegative, patch_distance
from mixpro_bench.backbones.oamixer_conv import OAMixerConv, SharedConv, toeplitz
from mixpro_bench.backbones.oamixer_deit import OAMixerDeiT, damped_attention
from mixpro_bench.backbones.oamixer_mlp import OAMixerMLP, damped_mlp
from mixpro_bench.mixing.policy import Place
from mixpro_bench.registry import MODELS

pytestmark = pytest.mark.systems

SMALL = {
    "deit": (OAMixerDeiT, "oamixer_deit_test"),
    "mixer": (OAMixerMLP, "oamixer_mixer_test"),
    "convmixer": (OAMixerConv, "oamixer_convmixer_test"),
}
every = pytest.mark.parametrize("base", list(SMALL))


def small(base: str, kappa: float = 0.0, **more) -> OAMixer:
    torch.manual_seed(0)
    cls, variant = SMALL[base]
    model = cls(variant, **{"num_classes": 5, **more}).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "stem" not in name:
                parameter.mul_(4)  # so that patches are mixed to a degree that shows
        model.kappa.fill_(kappa)
    return model


def images(batch: int = 2, size: tuple[int, int] = (64, 64)) -> Tensor:
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


def half(batch: int = 2, labels: bool = False) -> Share:
    """A is on the left half of the image."""

    def at(h: int, w: int) -> Tensor:
        return (w / 2 - torch.arange(w, dtype=torch.float32)).clamp(0, 1).expand(batch, h, w)

    pair = (torch.arange(batch), torch.arange(batch) + 1) if labels else None
    return Share(torch.full((batch,), 0.5), at, pair)


def base_network(base: str) -> nn.Module:
    """Build the small variant's base with timm."""
    if base == "deit":
        return VisionTransformer(img_size=64, embed_dim=24, depth=4, num_heads=3, num_classes=5)
    if base == "mixer":
        return MlpMixer(img_size=64, embed_dim=32, num_blocks=4, num_classes=5)
    return ConvMixer(24, 4, kernel_size=3, patch_size=7, num_classes=5)


def in_timms_words(base: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the small variant's weights under the names that timm has for them."""
    names = {
        "deit": {"stem.conv": "patch_embed.proj", "stem.cls_token": "cls_token"},
        "mixer": {"stem": "stem.proj"},
        "convmixer": {"conv": "0.fn.0", "norm1": "0.fn.2", "channels": "1", "norm2": "3"},
    }[base]
    found = {}
    for name, value in state.items():
        # Four blocks in four stages: the stage is the block.
        name = re.sub(r"^stages\.(\d)\.blocks\.0\.", r"blocks.\1.", name)
        for ours, theirs in names.items():
            name = re.sub(rf"(^|\.){re.escape(ours)}(?=\.|$)", rf"\g<1>{theirs}", name, count=1)
        if name.endswith("0.fn.0.weight"):
            value = value.expand(24, -1, -1, -1)
        found[name] = value
    if base == "deit":
        positions = torch.cat((found.pop("stem.cls_pos"), found.pop("stem.pos_embed")), dim=1)
        found["pos_embed"] = positions
    del found["kappa"]
    return found


def test_parameters():
    assert parameters(OAMixerDeiT, "oamixer_deit_tiny") == 5_717_428
    for cls, variant, name in (
        (OAMixerDeiT, "oamixer_deit_tiny", "deit_tiny_patch16_224"),
        (OAMixerMLP, "oamixer_mixer_s16", "mixer_s16_224"),
        (OAMixerConv, "oamixer_convmixer_768_32", "convmixer_768_32"),
    ):
        with torch.device("meta"):
            base = timm.create_model(name)
        depth = len(base.blocks)
        shared = depth * 767 * 7 * 7 if cls is OAMixerConv else 0
        assert parameters(cls, variant) == sum(p.numel() for p in base.parameters()) - shared + depth


def test_macs():
    assert gmacs(OAMixerDeiT, "oamixer_deit_tiny") == pytest.approx(1.25, rel=0.02)


@every
@torch.no_grad()
def test_is_its_base_without_labels_and_at_strength_0(base: str):
    model, network = small(base), base_network(base).eval()
    network.load_state_dict(in_timms_words(base, model.state_dict()))
    expected = network(images(size=(63, 63)) if base == "convmixer" else images())
    x = images(size=(63, 63)) if base == "convmixer" else images()
    assert expected.std() > 1e-2
    assert torch.allclose(model(x).logits, expected, atol=1e-5)
    assert torch.allclose(model(x, share=half()).logits, expected, atol=1e-5)


@every
@torch.no_grad()
def test_damping_shows_on_mixed_images_only(base: str):
    model = small(base, kappa=0.7)
    plain = model(images()).logits
    constant = Share(torch.full((2,), 0.3), lambda h, w: torch.full((2, h, w), 0.3))
    assert torch.allclose(model(images(), share=constant).logits, plain, atol=1e-5)
    assert not torch.allclose(model(images(), share=half()).logits, plain, atol=1e-3)
    # Which of the two images is called A is all the same.
    swapped = Share(half().lam, lambda h, w: 1 - half().at(h, w))
    assert torch.allclose(model(images(), share=swapped).logits, model(images(), share=half()).logits, atol=1e-5)


def test_distance_of_labels():
    labels = torch.rand(2, 5, 3)
    distance = patch_distance(labels)
    for i in range(5):
        for j in range(5):
            assert torch.allclose(distance[:, i, j], (labels[:, i] - labels[:, j]).abs().sum(1), atol=1e-6)
    share = torch.tensor([[[1.0, 0.0], [0.25, 1.0]]])
    assert torch.allclose(patch_distance(identity_labels(share))[0, 0], torch.tensor([0.0, 2.0, 1.5, 0.0]))


@torch.no_grad()
def test_damped_attention():
    torch.manual_seed(0)
    attn = Attention(12, 2, qkv_bias=True)
    x, distance, kappa = torch.randn(2, 6, 12) * 3, patch_distance(torch.rand(2, 5, 2)), torch.tensor(0.8)
    q, k, v = attn.qkv(x).view(2, 6, 3, 2, 6).permute(2, 0, 3, 1, 4)
    weights = (q @ k.mT / 6**0.5).softmax(-1)
    for b in range(2):
        for i in range(1, 6):
            for j in range(1, 6):
                weights[b, :, i, j] *= (-kappa * distance[b, i - 1, j - 1]).exp()
    weights = weights / weights.sum(-1, keepdim=True)
    slow = attn.proj((weights @ v).transpose(1, 2).flatten(2))
    assert torch.allclose(damped_attention(attn, x, distance, kappa), slow, atol=1e-5)
    assert torch.allclose(damped_attention(attn, x, None, kappa), attn(x), atol=1e-6)


@torch.no_grad()
def test_damped_mlp():
    torch.manual_seed(0)
    mlp = Mlp(5, 7)
    x, distance, kappa = torch.randn(2, 5, 3), patch_distance(torch.rand(2, 5, 2)), torch.tensor(0.8)
    matrix = mlp.fc2.weight @ mlp.fc1.weight
    constant = mlp.fc2.weight @ mlp.fc1.bias + mlp.fc2.bias
    rest = mlp(x.mT).mT - (torch.einsum("ij,bjc->bic", matrix, x) + constant[:, None])
    slow = torch.zeros_like(x)
    for b in range(2):
        for i in range(5):
            for j in range(5):
                slow[b, i] += matrix[i, j] * (-kappa * distance[b, i, j]).exp() * x[b, j]
            slow[b, i] += constant[i] + rest[b, i]
    assert torch.allclose(damped_mlp(mlp, x, distance, kappa), slow, atol=1e-5)


@torch.no_grad()
def test_damped_convolution():
    torch.manual_seed(0)
    conv = SharedConv(3, 3)
    nn.init.normal_(conv.bias)
    h, w = 4, 5
    x, distance, kappa = torch.randn(2, 3, h, w), patch_distance(torch.rand(2, h * w, 2)), torch.tensor(0.8)
    slow = conv.bias[None, :, None, None].repeat(2, 1, h, w)
    for i in range(h):
        for j in range(w):
            for a in range(max(0, i - 1), min(h, i + 2)):
                for b in range(max(0, j - 1), min(w, j + 2)):
                    keeps = (-kappa * distance[:, i * w + j, a * w + b]).exp()
                    slow[:, :, i, j] += conv.weight[0, 0, a - i + 1, b - j + 1] * keeps[:, None] * x[:, :, a, b]
    assert torch.allclose(conv(x, distance, kappa), slow, atol=1e-5)
    matrix = toeplitz(conv.weight, (h, w))
    plain = (matrix @ x.flatten(2).mT).mT.unflatten(2, (h, w)) + conv.bias[:, None, None]
    assert torch.allclose(conv(x, None, kappa), plain, atol=1e-5)


def test_strong_damping_keeps_the_images_apart():
    torch.manual_seed(0)
    distance = patch_distance(torch.tensor([[[1.0, 0.0]] * 2 + [[0.0, 1.0]] * 2]))
    strength = torch.tensor(50.0)
    attn, conv = Attention(12, 2), SharedConv(3, 3)
    tokens = torch.randn(1, 5, 12, requires_grad=True)
    (seen,) = torch.autograd.grad(damped_attention(attn, tokens, distance, strength)[0, 1].sum(), tokens)
    assert (seen[0, :3].abs().sum(1) > 1e-4).all()  # the class token and both patches of A
    assert seen[0, 3:].abs().max() < 1e-6
    cells = torch.randn(1, 3, 2, 2, requires_grad=True)
    (seen,) = torch.autograd.grad(conv(cells, distance, strength)[0, :, 0, 0].sum(), cells)
    assert (seen[0, :, 0].abs() > 1e-4).all()
    assert seen[0, :, 1].abs().max() < 1e-6


def test_strength_is_clamped_and_can_come_back():
    strength = torch.tensor([-0.5, 0.0, 0.5], requires_grad=True)
    clamped = nonnegative(strength)
    assert clamped.tolist() == [0.0, 0.0, 0.5]
    clamped.sum().backward()
    assert strength.grad.tolist() == [1.0, 1.0, 1.0]


@every
def test_strengths_learn_from_mixed_images(base: str):
    model = small(base).train()
    out = model(images(4), need=Need(tokens=True), share=half(4))
    out.logits.square().sum().backward(retain_graph=True)
    # What DeiT's last block does to its patches, its class token does not see.
    reached = model.kappa.grad.abs() > 0
    assert reached.tolist() == [True, True, True, base != "deit"]
    out.tokens[:, 0].square().mean().backward()
    assert (model.kappa.grad.abs() > 0).all()


@every
def test_checkpointing_and_compilation_with_labels(base: str):
    model = small(base, kappa=0.5, token_loss=0.5).train()
    results = []
    for on in (False, True):
        model.grad_checkpointing = on
        model.zero_grad()
        out = model(images(4), share=half(4, labels=True))
        (out.logits.square().sum() + out.aux_losses["tokens"]).backward()
        results.append([p.grad.clone() for p in model.parameters()])
    assert all(torch.allclose(a, b, atol=1e-5, rtol=1e-4) for a, b in zip(*results, strict=True))
    model.grad_checkpointing = False
    model.eval()
    share = half()
    plain = model(images(), share=share).logits
    model.compile(backend="eager", fullgraph=True)
    assert torch.allclose(model(images(), share=share).logits, plain, atol=1e-5)
    torch._dynamo.reset()


@every
def test_bf16_autocast_with_labels(base: str):
    model = small(base, kappa=0.5).train()
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images(4), share=half(4)).logits
    logits.float().square().sum().backward()
    assert logits.isfinite().all()
    assert model.kappa.grad.isfinite().all()


@every
def test_loss_of_the_patches(base: str):
    model = small(base, kappa=0.5, token_loss=0.25)
    out = model(images(), need=Need(tokens=True), share=half(labels=True))
    tokens, at = out.tokens, half().at(*out.tokens.shape[2:])
    slow = []
    for b in range(2):
        for i in range(tokens.shape[2]):
            for j in range(tokens.shape[3]):
                scores = model.token_head(tokens[b, :, i, j]).log_softmax(0)
                slow.append(-(at[b, i, j] * scores[b] + (1 - at[b, i, j]) * scores[b + 1]))
    assert torch.allclose(out.aux_losses["tokens"], 0.25 * torch.stack(slow).mean(), atol=1e-5)
    assert model(images(), share=half()).aux_losses == {}
    assert model(images()).aux_losses == {}
    assert not any("token_head" in name for name in small(base, dense=True, token_loss=0.25).state_dict())


@pytest.mark.parametrize(("mixer", "moves"), [("MaskMix", True), ("Mixup", False)])
def test_pretraining_tells_the_backbone_where_the_images_are(mixer: str, moves: bool):
    backbone = dict(type="mixpro_bench.OAMixerDeiT", variant="oamixer_deit_test", num_classes=5, token_loss=0.5)
    arguments = dict(mask_patch=16) if mixer == "MaskMix" else {}
    policy = dict(branches=[dict(mixer=dict(type=mixer, **arguments), labeler=dict(type="AreaLabel"))])
    torch.manual_seed(0)
    model = MODELS.build(dict(type="mixpro_bench.MixClassifier", backbone=backbone, policy=policy)).train()
    model.place = Place(0, 3)
    losses = model(images(4), torch.arange(4), mode="loss")
    assert losses["loss_tokens"] > 0
    losses["loss_cls"].backward()
    # DDP wants a gradient at every step, be it zero.
    assert (model.backbone.kappa.grad.abs().sum() > 0) == moves


@torch.no_grad()
def test_images_of_another_size():
    for base in SMALL:
        model = small(base, kappa=0.5)
        assert model(images(size=(80, 112)), share=half()).logits.isfinite().all()
        dense = small(base, dense=True)
        assert not dense.kappa.requires_grad
        patch = dense.patch_size
        assert {m.shape[-2:] for m in dense(images(size=(97, 131)))} == {(-(-97 // patch), -(-131 // patch))}
