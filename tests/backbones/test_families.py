"""What every family must keep: the contract, on small variants of all of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
from small_backbones import TINY, build, half, images

from mixpro_bench.backbones import Need, Output, Share, TimmBackbone
from mixpro_bench.backbones.timm import FAMILIES
from mixpro_bench.registry import MODELS

every = pytest.mark.parametrize("family", list(TINY))
KINDS = {
    "cait": ("class_attn",),
    "xcit": ("class_attn",),
    "swin": ("mean_attn", "cam"),
    "pvt": ("mean_attn", "cam"),
    "pvt_linear": ("cam",),
    "tnt": ("cls",),
    "sequencer": ("cam",),
}
GIVES_SHARE = [name for name in TINY if name not in ("xcit", "sequencer")]
# Parameters that a classifier's loss does not reach, and why.
UNREACHED: dict[str, tuple[str, ...]] = {}


def read_all(model: TimmBackbone, x: Tensor) -> Output:
    """Read everything the backbone can give."""
    return model(x, need=Need("auto", share=model.gives_share, tokens=True), share=half(len(x)))


def test_every_family_has_a_small_variant():
    assert {type(build(name).family) for name in TINY} == set(FAMILIES.values())


@pytest.mark.parametrize(("family", "kinds"), KINDS.items())
def test_kinds(family: str, kinds: tuple[str, ...]):
    assert build(family).importance_kinds == kinds


@every
def test_logits_are_timms_whatever_is_read(family: str):
    model, x = build(family), images()
    plain = model.model(x)
    assert torch.allclose(model(x).logits, plain, atol=1e-6)
    for kind in model.importance_kinds:
        assert torch.allclose(model(x, need=Need(kind)).logits, plain, atol=1e-6)
    out = read_all(model, x)
    assert torch.allclose(out.logits, plain, atol=1e-5)
    assert out.tokens.shape[:2] == (2, model.embed_dim)
    assert plain.std() > 1e-3


@every
def test_importance_is_a_distribution(family: str):
    model, x = build(family), images()
    for kind in model.importance_kinds:
        out = model(x, need=Need(kind, tokens=True))
        grid = out.tokens.shape[-2:]
        importance = out.importance
        if kind == "cam":
            assert importance is None
            importance = out.cam.importance(torch.tensor([0, 1]), torch.tensor([2, 3]), half().at(*grid))
        assert importance.shape == (2, *grid)
        assert importance.dtype == torch.float32
        assert not importance.requires_grad
        assert (importance >= 0).all()
        assert torch.allclose(importance.sum((1, 2)), torch.ones(2))
        assert importance.std() > 1e-4, "too uniform for this test to mean anything"


@pytest.mark.parametrize("family", GIVES_SHARE)
def test_share_is_a_mean_of_shares(family: str):
    model, x = build(family), images()

    def carried(value: Share) -> Tensor:
        return model(x, need=Need(share=True), share=value).share

    ones = Share(torch.ones(2), lambda h, w: torch.ones(2, h, w))
    of_a = half()
    of_b = Share(1 - of_a.lam, lambda h, w: 1 - of_a.at(h, w))
    assert torch.allclose(carried(ones), torch.ones(2), atol=1e-6)
    assert torch.allclose(carried(of_a) + carried(of_b), torch.ones(2), atol=1e-6)
    assert carried(of_a).shape == (2,)
    assert not carried(of_a).requires_grad
    assert (carried(of_a) - 0.5).abs().max() > 1e-4, "the share did not move: this test would not see a mistake"


@every
def test_bf16_autocast(family: str):
    model, x = build(family), images()
    exact = read_all(model, x)
    with torch.autocast("cpu", torch.bfloat16):
        rough = read_all(model, x)
    assert rough.logits.isfinite().all()
    if exact.importance is not None:
        assert torch.allclose(rough.importance.sum((1, 2)), torch.ones(2))
    if exact.share is not None:
        assert rough.share.dtype == torch.float32
        assert (rough.share - exact.share).abs().max() < 5e-3


@every
def test_gradient_reaches_every_parameter(family: str):
    model = build(family).train()
    out = read_all(model, images(4))
    out.logits.square().sum().backward()
    assert out.importance is None or not out.importance.requires_grad
    dead = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A key's bias moves all products of a query alike: the softmax does not see it.
    dead = [n for n in dead if not n.endswith(".k.bias")]
    assert dead == list(UNREACHED.get(family, ()))


@every
def test_gradient_of_feature_maps_reaches_every_trained_parameter(family: str):
    model = build(family, dense=True).train()
    sum(m.square().mean() * (1 + i) + m.sum() for i, m in enumerate(model(images(2, (97, 131))))).backward()
    dead = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert dead == []
    frozen = {n.split(".")[1] for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen <= set(model.family.readout)


@every
def test_checkpointing_changes_nothing(family: str):
    results = []
    for on in (False, True):
        model = build(family, grad_checkpointing=on, drop_path_rate=0.2).train()
        torch.manual_seed(3)
        out = read_all(model, images())
        out.logits.square().sum().backward()
        results.append((out, [p.grad for p in model.parameters() if p.grad is not None]))
    (a, grads_a), (b, grads_b) = results
    assert torch.equal(a.logits, b.logits)
    assert len(grads_a) == len(grads_b)
    assert all(torch.allclose(g, h, atol=1e-6) for g, h in zip(grads_a, grads_b, strict=True))
    if a.share is not None:
        assert torch.equal(a.share, b.share)


@every
def test_feature_maps_of_odd_images(family: str):
    model = build(family, dense=True)
    maps = model(images(2, (97, 131)))
    assert isinstance(maps, tuple)
    assert len(maps) == len(model.out_channels) == len(model.out_strides) == 4
    for found, channels, stride in zip(maps, model.out_channels, model.out_strides, strict=True):
        h, w = -(-97 // stride), -(-131 // stride)
        if family == "sequencer":  # padded to whole cells of the coarsest map
            h, w = 7 * 14 // stride, 10 * 14 // stride
        assert found.shape == (2, channels, h, w)
        assert found.isfinite().all()


@every
def test_dense_weights_are_the_classifiers_without_its_head(family: str):
    classifier, dense = build(family).state_dict(), build(family, dense=True).state_dict()
    assert set(classifier) - set(dense) == {k for k in classifier if k.startswith("model.head")}
    assert set(dense) <= set(classifier)
    assert {k: v.shape for k, v in dense.items()} == {k: classifier[k].shape for k in dense}


@every
def test_layer_ids(family: str):
    model, dense = build(family), build(family, dense=True)
    ids = {n: model.layer_id(n) for n, _ in model.named_parameters()}
    assert set(ids.values()) == set(range(model.num_layers))
    assert {n: dense.layer_id(n) for n, _ in dense.named_parameters()}.items() <= ids.items()
    assert dense.num_layers == model.num_layers
    assert {i for n, i in ids.items() if n.startswith("model.head")} == {model.num_layers - 1}
    # Depth does not fall from one block to the next.
    stacks = ("blocks", "layers", "stages")
    blocks = [n for n in ids if n.split(".")[1] in stacks and "norm" not in n.split(".")[3]]
    order = sorted(blocks, key=lambda n: [int(part) for part in n.split(".") if part.isdigit()][:2])
    assert [ids[n] for n in order] == sorted(ids[n] for n in order)
    assert min(ids[n] for n in blocks) >= 1
    stem = ("patch_embed", "pixel_embed", "stem", "pos_embed", "patch_pos", "pixel_pos")
    assert {ids[n] for n in ids if n.split(".")[1] in stem} == {0}


@every
def test_init_weights_leaves_weights_alone(family: str):
    model = build(family)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.init_weights()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_built_by_name_from_a_config():
    model = MODELS.build(dict(type="mixpro_bench.TimmBackbone", num_classes=3, **TINY["pvt"], img_size=64))
    assert model(images()).logits.shape == (2, 3)


def test_out_indices_choose_stages():
    model = build("swin", dense=True, out_indices=[1, 3])
    assert model.out_channels == [48, 192]
    assert model.out_strides == [8, 32]
    assert [tuple(m.shape[1:]) for m in model(images())] == [(48, 8, 8), (192, 2, 2)]
