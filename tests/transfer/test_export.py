"""Export to other libraries and back, checked with the real other libraries."""

from __future__ import annotations

import json

import pytest
import timm
import torch
from timm.models import load_checkpoint as timm_load

from mixpro_bench.cli.main import main
from mixpro_bench.compat.checkpoint import load_checkpoint, save_checkpoint
from mixpro_bench.errors import UserError
from mixpro_bench.transfer.card import read_card
from mixpro_bench.transfer.export import export_checkpoint, import_checkpoint
from mixpro_bench.transfer.handover import read

CONFIG = """
model = dict(
    type='mixpro_bench.MixClassifier',
    backbone=dict(type='mixpro_bench.TimmBackbone', name='vit_tiny_patch16_224', img_size=32, patch_size=4,
        embed_dim=32, depth=4, num_heads=2, num_classes=10))
val_dataloader = dict(dataset=dict(transform=dict(type='light', input_size=32)))
"""


@pytest.fixture
def source(tmp_path, pretrained, upstream):
    """Write a checkpoint of ours with EMA, as mmengine swaps it: the average is in ``state_dict``."""
    told = {**upstream, "protocol": "digits-cls", "version": 1, "transfer_weights": "ema"}
    raw = {f"module.{name}": value + 1 for name, value in pretrained.items()}
    content = dict(meta=dict(mixpro_bench=told, cfg=CONFIG), state_dict=dict(pretrained), ema_state_dict=raw)
    return save_checkpoint(content, tmp_path / "ours.pth")


def backbone_part(state):
    return {name: value for name, value in state.items() if name.startswith("backbone.")}


@pytest.mark.parametrize(
    ("form", "name"),
    [("timm", "t.pth"), ("timm", "t.safetensors"), ("safetensors", "s.safetensors"), ("mmseg-vit", "m.pth")],
)
@pytest.mark.parametrize("weights", ["raw", "ema"])
def test_round_trip_is_equal_to_the_bit(form, name, weights, source, tmp_path, pretrained, build, upstream):
    there = tmp_path / "out" / name
    export_checkpoint(source, there, form, weights)
    card = import_checkpoint(there, tmp_path / "back.pth", form)
    expected = {k: v + 1 if weights == "raw" else v for k, v in backbone_part(pretrained).items()}
    if form == "mmseg-vit":
        expected = {k: v for k, v in expected.items() if ".head." not in k}
    back = load_checkpoint(tmp_path / "back.pth")
    state = backbone_part(back["state_dict"])
    assert set(state) == set(expected)
    assert all(torch.equal(state[k], v) and state[k].dtype == v.dtype for k, v in expected.items())
    audit = read(tmp_path / "back.pth", build()).audit
    assert (audit.share, audit.weights) == (1.0, weights)
    other = {"raw": "ema", "ema": "raw"}[weights]
    with pytest.raises(UserError, match=f"no {other} weights"):
        read(tmp_path / "back.pth", build(), weights=other)
    assert {k: audit.upstream[k] for k in upstream} == upstream
    # One kind of weights is in the file; the wish for a kind has been met.
    assert card.weights == weights
    assert (card.method, card.seed, card.image_size, card.format) == ("mixpro", 3, 32, "mixpro_bench")


def test_safetensors_keep_the_labeler_and_hand_over_directly(source, tmp_path, build, upstream):
    export_checkpoint(source, tmp_path / "s.safetensors", "safetensors")
    assert "labeler.token_head.weight" in load_checkpoint(tmp_path / "s.safetensors")["state_dict"]
    audit = read(tmp_path / "s.safetensors", build()).audit
    assert audit.share == 1.0
    assert audit.upstream["seed"] == upstream["seed"]


@pytest.mark.parametrize("name", ["t.pth", "t.safetensors"])
def test_timm_loads_it_and_gives_the_same_logits(name, source, tmp_path, build, pretrained):
    export_checkpoint(source, tmp_path / name, "timm")
    arguments = dict(img_size=32, patch_size=4, embed_dim=32, depth=4, num_heads=2, num_classes=10)
    model = timm.create_model("vit_tiny_patch16_224", **arguments).eval()
    timm_load(model, str(tmp_path / name), strict=True)
    ours = build(dense=False, num_classes=10).eval()
    ours.load_state_dict({k.removeprefix("backbone."): v for k, v in backbone_part(pretrained).items()})
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(model(images), ours(images).logits)


@pytest.mark.mm
def test_mmsegs_vision_transformer_loads_it_and_gives_the_same_features(source, tmp_path, build, pretrained):
    from mmengine.registry import init_default_scope

    from mixpro_bench import compat

    compat.install()  # operators that mmseg wants when it is imported
    from mmseg.registry import MODELS
    from mmseg.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    card = export_checkpoint(source, tmp_path / "m.pth", "mmseg-vit")
    init_default_scope("mmseg")
    theirs = MODELS.build({**card.use, "out_indices": [3]})
    theirs.eval()
    theirs.load_state_dict(load_checkpoint(tmp_path / "m.pth")["state_dict"], strict=True)
    ours = build().eval()
    ours.load_state_dict(
        {k.removeprefix("backbone."): v for k, v in backbone_part(pretrained).items() if ".head." not in k}
    )
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(theirs(images)[-1], ours.features(images)[-1], atol=1e-5, rtol=0)


def test_released_weights_become_ours(tmp_path, pretrained, build):
    inner = {k.removeprefix("backbone.model."): v for k, v in backbone_part(pretrained).items()}
    extras = {"token_head.weight": torch.zeros(10, 32), "token_head.bias": torch.zeros(10)}
    average = {k: torch.zeros_like(v) for k, v in inner.items()}
    torch.save({"model": {**inner, **extras}, "model_ema": average, "epoch": 299}, tmp_path / "smmix.pth")
    card = import_checkpoint(tmp_path / "smmix.pth", tmp_path / "ours.pth", "timm")
    assert (card.method, card.preset, card.code, card.weights) == ("smmix", "released", "ChenMnZ/SMMix", "raw")
    loaded = read(tmp_path / "ours.pth", build())
    assert loaded.audit.share == 1.0
    assert torch.equal(loaded.state["model.pos_embed"], inner["pos_embed"])
    assert not any("token_head" in name for name in load_checkpoint(tmp_path / "ours.pth")["state_dict"])


def test_what_mmseg_has_no_place_for_is_named(tmp_path, source, pretrained):
    content = dict(state_dict={**pretrained, "backbone.model.blocks.0.ls1.gamma": torch.ones(32)})
    save_checkpoint(content, tmp_path / "scale.pth")
    with pytest.raises(UserError, match=r"no place for blocks\.0\.ls1\.gamma"):
        export_checkpoint(tmp_path / "scale.pth", tmp_path / "m.pth", "mmseg-vit")
    gone = {k: v for k, v in pretrained.items() if "cls_token" not in k}
    save_checkpoint(dict(state_dict=gone), tmp_path / "nocls.pth")
    with pytest.raises(UserError, match="it has no cls_token"):
        export_checkpoint(tmp_path / "nocls.pth", tmp_path / "m.pth", "mmseg-vit")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nocls.pth", "ours.pth", "scale.pth"]


def test_command_line(source, tmp_path, capsys):
    out = tmp_path / "exported.pth"
    assert main(["export", str(source), "--format", "mmseg-vit", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "num_heads=2" in said
    card = json.loads((tmp_path / "exported.pth.card.json").read_text())
    assert (card["format"], card["weights"], card["use"]["embed_dims"]) == ("mmseg-vit", "ema", 32)
    assert main(["export", str(source), "--format", "mmseg-vit", "--out", str(out)]) == 2
    assert "is not overwritten" in capsys.readouterr().err
    assert main(["export", str(source), "--format", "safetensors", "--out", str(tmp_path / "a.pth")]) == 2
    assert "must end in .safetensors" in capsys.readouterr().err
    assert main(["export", str(out), "--from", "timm", "--out", str(tmp_path / "b.pth")]) == 2
    assert f"{out}: its names are mmseg's" in capsys.readouterr().err
    assert read_card(out).source_sha256 is not None
