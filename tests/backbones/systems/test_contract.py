"""What every system keeps, whoever wrote it: one table, one contract, the same checks."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import pytest
import torch
from torch import Tensor, nn

from mixpro_bench.backbones import Need, Output
from mixpro_bench.compat.checkpoint import save_checkpoint
from mixpro_bench.errors import UserError
from mixpro_bench.registry import MODELS
from mixpro_bench.systems import System, system, systems
from mixpro_bench.systems.checks import CHECKS, build
from mixpro_bench.systems.verified import stored, verified
from mixpro_bench.transfer.handover import read
from mixpro_bench.transfer.optimizer import param_groups

pytestmark = pytest.mark.systems
every = pytest.mark.parametrize("one", systems(), ids=lambda one: one.name)
native = pytest.mark.parametrize("one", [s for s in systems() if s.key == "variant"], ids=lambda one: one.name)


def small(one: System, **more) -> nn.Module:
    """Build the tiny variant, with attention and a head that are less uniform than fresh ones."""
    model = build(one.small_config(**{"num_classes": 7, **more}))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if re.search(r"\b(qkv|qk|kv|q|k)\.weight$", name):
                parameter.mul_(4)
            if re.search(r"^(model\.)?head\.(fc\.)?weight$", name):
                parameter.normal_(std=0.1)
    return model


def images(batch: int = 2, size: tuple[int, int] = (64, 64)) -> Tensor:
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


def labelled(out: Output) -> Output:
    """Fill in the importance of systems whose importance depends on labels, for the likeliest class."""
    return out.for_labels(out.logits.argmax(dim=1))


def loss_of(out: Output) -> Tensor:
    return out.logits.square().sum() + sum(out.aux_losses.values())


@every
@pytest.mark.parametrize("check", ["parameters", "features", "pretrain_step"])
def test_is_what_the_table_says(one: System, check: str):
    found = CHECKS[check](one)
    assert verified(one)[check], f"what is stored does not tell: run mixpro-bench systems --verify {one.name!r}"
    if check == "parameters":
        assert stored()[one.name]["sizes"] == found


@every
@pytest.mark.parametrize("check", ["det_step", "seg_step"])
@pytest.mark.mm
def test_trains_downstream(one: System, check: str):
    assert CHECKS[check](one)
    assert verified(one)[check], f"what is stored does not tell: run mixpro-bench systems --verify {one.name!r}"


@every
def test_importance_is_a_distribution(one: System):
    model = small(one).eval()
    assert model.importance_kinds
    plain = model(images()).logits
    assert plain.std() > 1e-4
    for kind in model.importance_kinds:
        out = model(images(), need=Need(kind, tokens=True))
        assert torch.allclose(out.logits, plain, atol=1e-5)
        assert (out.cam is not None) == (kind == "cam")
        importance = labelled(out).importance
        assert importance.shape == (2, *out.tokens.shape[-2:])
        assert importance.dtype == torch.float32
        assert not importance.requires_grad
        assert (importance >= 0).all()
        assert torch.allclose(importance.sum((1, 2)), torch.ones(2))
        assert importance.flatten(1).std(dim=1).min() > 1e-7, "too uniform for this test to mean anything"


@every
def test_gradient_reaches_every_parameter(one: System):
    model = small(one).train()
    out = model(images(4), need=Need("auto", tokens=True))
    loss_of(out).backward()
    names = [name for name, _ in model.named_parameters()]
    for pattern in one.unreached:
        assert any(fnmatchcase(name, pattern) for name in names), f"{pattern} names nothing"
    dead = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [n for n in dead if not any(fnmatchcase(n, pattern) for pattern in one.unreached)] == []


@every
def test_bf16_autocast(one: System):
    model = small(one).train()
    with torch.autocast("cpu", torch.bfloat16):
        out = model(images(4), need=Need("auto"))
        loss = loss_of(out)
    assert out.logits.isfinite().all()
    importance = labelled(out).importance
    assert importance.dtype == torch.float32
    assert torch.allclose(importance.sum((1, 2)), torch.ones(4))
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@every
def test_compiled(one: System):
    model = small(one).eval()
    need = Need("auto", tokens=True)
    with torch.no_grad():
        plain = labelled(model(images(), need=need))
        keys = list(model.state_dict())
        model.compile(backend="eager", fullgraph=not one.graph_break)
        compiled = labelled(model(images(), need=need))
    assert torch.allclose(compiled.logits, plain.logits, atol=1e-5)
    assert torch.allclose(compiled.importance, plain.importance, atol=1e-5)
    assert list(model.state_dict()) == keys
    torch._dynamo.reset()


@every
def test_checkpointing_changes_nothing(one: System):
    results = []
    for on in (False, True):
        model = small(one, grad_checkpointing=on, drop_path_rate=0.2).train()
        torch.manual_seed(3)
        out = model(images(), need=Need("auto"))
        loss_of(out).backward()
        results.append((out.logits, {n: p.grad for n, p in model.named_parameters() if p.grad is not None}))
    (plain, grads), (saved, again) = results
    assert torch.allclose(plain, saved, atol=1e-6)
    assert grads.keys() == again.keys()
    assert all(torch.allclose(g, again[n], atol=1e-5, rtol=1e-4) for n, g in grads.items())


@every
def test_layer_ids_are_total(one: System):
    model, dense = small(one), small(one, dense=True)
    ids = {n: model.layer_id(n) for n, _ in model.named_parameters()}
    assert set(ids.values()) == set(range(model.num_layers))
    assert {n: dense.layer_id(n) for n, _ in dense.named_parameters()}.items() <= ids.items()
    assert dense.num_layers == model.num_layers


@native
def test_depth_grows_from_block_to_block(one: System):
    model = small(one)
    ids = {n: model.layer_id(n) for n, _ in model.named_parameters()}
    blocks: dict[tuple[int, int], set[int]] = {}
    for name, depth in ids.items():
        found = re.match(r"stages\.(\d+)\.blocks\.(\d+)\.", name)
        if found:
            blocks.setdefault((int(found[1]), int(found[2])), set()).add(depth)
    assert [blocks[key] for key in sorted(blocks)] == [{i + 1} for i in range(len(blocks))]
    assert {d for n, d in ids.items() if n.startswith("stem.")} <= {0}
    assert {d for n, d in ids.items() if n.startswith("head.")} == {model.num_layers - 1}


@every
def test_weights_alone_decay(one: System):
    model = nn.Module()
    model.backbone = small(one)
    groups = {g["name"]: g["param_names"] for g in param_groups(model, 1e-3, 0.05)}
    assert set(groups) == {"decay", "no_decay"}
    assert all("weight" in name.rsplit(".", 1)[-1] for name in groups["decay"])


@every
def test_dense_weights_are_the_classifiers_without_its_head(one: System):
    classifier, dense = small(one).state_dict(), small(one, dense=True).state_dict()
    assert set(dense) <= set(classifier)
    assert {n.removeprefix("model.").split(".")[0] for n in set(classifier) - set(dense)} == {"head"}
    assert all(value.shape == classifier[name].shape for name, value in dense.items())


@every
def test_bad_input_is_refused_in_a_sentence(one: System):
    for dense in (False, True):
        with pytest.raises(UserError, match=r"takes images from \d+ px a side on, not 3 x 300"):
            small(one, dense=dense)(images(1, (3, 300)))
    with pytest.raises(UserError, match=r"out_indices=\[0, 99\]: .* (stages|blocks).* 0 to \d+"):
        small(one, dense=True, out_indices=[0, 99])
    with pytest.raises(UserError):
        MODELS.build({**one.build, one.key: f"{one.smallest.name}_no"})


@every
def test_any_size_is_classified_or_refused_in_a_sentence(one: System):
    model, x = small(one).eval(), images(1, (67, 90))
    if one.name in ("CaiT", "DeiT", "Swin"):  # in dense use they pad
        with pytest.raises(UserError, match=r"classifies images of .* px, not 67 x 90"):
            model(x)
        return
    with torch.no_grad():
        assert model(x).logits.isfinite().all()


@every
def test_a_checkpoint_of_another_variant_is_refused(one: System, tmp_path):
    state = {f"backbone.{name}": value for name, value in small(one).state_dict().items()}
    path = save_checkpoint(dict(meta=dict(mixpro_bench=dict(preset="mixpro")), state_dict=state), tmp_path / "up.pth")
    assert read(path, small(one, dense=True)).audit.share == 1.0
    with pytest.raises(UserError, match=r"matches \d+ of \d+ tensors .* give a checkpoint of the same backbone"):
        read(path, build(one.config(dense=True), meta=True))


def test_no_name_twice():
    names = [one.name.lower() for one in systems()]
    assert len(set(names)) == len(names)


def test_an_unknown_name_is_answered_with_the_nearest():
    assert system("deit").name == "DeiT"
    with pytest.raises(UserError, match="did you mean 'Swin'"):
        system("swinn")
