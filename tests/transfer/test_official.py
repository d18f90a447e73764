"""Checkpoints as the released codes write them: recognised, the right weights taken, everything else left behind."""

from __future__ import annotations

import argparse
import re
import sys
import types

import pytest
import timm
import torch
from safetensors.torch import save_file

from mixpro_bench.backbones import TimmBackbone
from mixpro_bench.compat.checkpoint import load_checkpoint
from mixpro_bench.errors import UserError
from mixpro_bench.transfer.handover import read
from mixpro_bench.transfer.origin import ORIGINS, choose, origin_of

BLOCK = ["norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"]
# As models/vit.py, deit.py and timm 0.5's vision_transformer.py name them.
VIT_NAMES = {
    "cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias", "norm.weight", "norm.bias",
    "head.weight", "head.bias",
    *(f"blocks.{i}.{part}.{kind}" for i in range(4) for part in BLOCK for kind in ("weight", "bias")),
}  # fmt: skip


def vit(fill: float, **extras: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Return a tiny ViT's weights under the names all five codes share, and extra tensors."""
    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, patch_size=4, embed_dim=32, depth=4, num_heads=2, num_classes=10
    )
    state = {name: torch.full_like(value, fill) for name, value in model.state_dict().items()}
    assert set(state) == VIT_NAMES
    return {**state, **{name.replace("__", "."): torch.zeros(shape) for name, shape in extras.items()}}


@pytest.fixture
def cfg_node(monkeypatch):
    """Stand for yacs, which pickles its CfgNode by name."""

    class CfgNode(dict):
        __module__ = "yacs.config"

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.__dict__["__immutable__"] = True

    CfgNode.__qualname__ = "CfgNode"
    module = types.ModuleType("yacs.config")
    module.CfgNode = CfgNode
    monkeypatch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
    monkeypatch.setitem(sys.modules, "yacs.config", module)
    return CfgNode


RAW, EMA = 0.25, 0.75


def deit_like(args: dict, *, ema: bool, **extras) -> dict:
    """Return what DeiT's main.py saves, as TL-Align, TokenMix and SMMix do."""
    saved = {
        "model": vit(RAW, **extras),
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-5}]},
        "lr_scheduler": {"base_values": [1e-3]},
        "epoch": 299,
        "scaler": {"scale": 65536.0},
        "args": argparse.Namespace(model="deit_tiny_patch16_224", epochs=300, model_ema=ema, **args),
    }
    return {**saved, "model_ema": vit(EMA, **extras)} if ema else saved


def released(name: str, cfg_node) -> dict:
    """Return a checkpoint as the released code of a method writes it."""
    if name == "mixpro":
        config = cfg_node(AUG=cfg_node(MASKMIX_PROB=0.5, MIXUP=0.8), MODEL=cfg_node(NAME="deit_tiny"), AMP=True)
        weights = vit(RAW, mask_token=(1, 1, 32), head1__weight=(10, 32), head1__bias=(10,))
        return {
            "model": weights, "optimizer": {}, "lr_scheduler": {}, "max_accuracy": 73.8, "scaler": {}, "epoch": 299,
            "config": config,
        }  # fmt: skip
    if name == "transmix":
        args = argparse.Namespace(model="deit_small_patch16_224", transmix=True, model_ema=True)
        return {
            "epoch": 309, "arch": "deit_small_patch16_224", "state_dict": vit(RAW), "optimizer": {}, "version": 2,
            "args": args, "amp_scaler": {}, "state_dict_ema": vit(EMA), "metric": 80.7,
        }  # fmt: skip
    if name == "tl-align":
        return deit_like(dict(tl_align=True, autoresume=True), ema=False)
    if name == "tokenmix":
        return deit_like(dict(label_dir="/x", mask_type="block", use_bce=True), ema=True)
    return deit_like(
        dict(min_side_ratio=0.25, max_side_ratio=0.75, side=14),
        ema=True,
        token_head__weight=(10, 32),
        token_head__bias=(10,),
    )


TAKEN = {"mixpro": "raw", "transmix": "ema", "tl-align": "raw", "tokenmix": "ema", "smmix": "raw"}
DROPPED = {"mixpro": 5, "transmix": 2, "tl-align": 2, "tokenmix": 2, "smmix": 4}


@pytest.mark.parametrize("name", TAKEN)
def test_released_checkpoints(name, cfg_node, tmp_path, build):
    path = tmp_path / f"{name}.pth"
    torch.save(released(name, cfg_node), path)
    loaded = read(path, build())
    audit = loaded.audit
    assert (audit.share, audit.missing, audit.unexpected, audit.dropped) == (1.0, [], [], DROPPED[name])
    assert audit.weights == TAKEN[name]
    value = EMA if TAKEN[name] == "ema" else RAW
    assert all(bool((tensor == value).all()) for tensor in loaded.state.values())
    assert (audit.upstream["method"], audit.upstream["preset"]) == (name, "released")
    assert audit.upstream["code"] in audit.line()


def test_every_origin_is_tested_and_gives_a_reason():
    assert {origin.method: origin.weights for origin in ORIGINS} == TAKEN
    assert all(".py" in origin.reason for origin in ORIGINS)


def test_average_of_smmix_is_refused_even_when_asked_for(cfg_node, tmp_path, build):
    path = tmp_path / "smmix.pth"
    torch.save(released("smmix", cfg_node), path)
    with pytest.raises(UserError, match=r"never to be used: its average .* never updated .* use weights='raw'"):
        read(path, build(), weights="ema")


def test_what_is_asked_for_is_taken_elsewhere(cfg_node, tmp_path, build):
    path = tmp_path / "tokenmix.pth"
    torch.save(released("tokenmix", cfg_node), path)
    loaded = read(path, build(), weights="raw")
    assert (loaded.audit.weights, loaded.audit.weights_because) == ("raw", "asked for")
    assert float(loaded.state["model.norm.bias"][0]) == RAW


def test_stripped_transmix_falls_back_to_raw_and_says_so(cfg_node):
    content = released("transmix", cfg_node)
    del content["state_dict_ema"]
    content["args"] = vars(content["args"])
    assert choose(content) == ("raw", "a transmix checkpoint without averaged weights")


def test_baseline_of_mixpros_code_is_not_taken_for_mixpro(cfg_node):
    content = released("mixpro", cfg_node)
    content["config"]["AUG"]["MASKMIX_PROB"] = 0.0
    assert origin_of(content) is None


def test_deit_and_timm_files(tmp_path, build):
    torch.save({"model": vit(RAW)}, tmp_path / "deit_tiny_patch16_224-a1311bcf.pth")
    save_file(vit(RAW), tmp_path / "model.safetensors")
    for name in ("deit_tiny_patch16_224-a1311bcf.pth", "model.safetensors"):
        audit = read(tmp_path / name, build()).audit
        assert (audit.share, audit.weights, audit.upstream, audit.dropped) == (1.0, "raw", {}, 2)


def test_distilled_deit_leaves_its_second_head(tmp_path):
    small = dict(img_size=32, patch_size=8, embed_dim=32, depth=4, num_heads=2)
    model = timm.create_model("deit_tiny_distilled_patch16_224", **small, num_classes=10)
    torch.save({"model": model.state_dict()}, tmp_path / "d.pth")
    backbone = TimmBackbone("deit_tiny_distilled_patch16_224", **small, dense=True)
    audit = read(tmp_path / "d.pth", backbone).audit
    assert (audit.share, audit.dropped) == (1.0, 4)


def test_other_patch_size_is_refused_by_name_unless_asked_for(tmp_path, build):
    # MixPro's DeiTs cut patches of 14 pixels: 16 x 16 tokens of 224 pixels, where DeiT has 14 x 14.
    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=224, patch_size=14, embed_dim=32, depth=4, num_heads=2, num_classes=10
    )
    weights = {**model.state_dict(), "mask_token": torch.zeros(1, 1, 32), "head1.weight": torch.zeros(10, 32)}
    path = tmp_path / "mixpro_deit_tiny.pth"
    torch.save({"model": weights}, path)
    sixteen = build(img_size=224, patch_size=16)
    with pytest.raises(UserError, match=re.escape("patches of 14x14 pixels, this one cuts patches of 16x16")) as error:
        read(path, sixteen, min_share=0.1)
    assert "\n" not in str(error.value)
    assert "resize_patch=True" in str(error.value)

    loaded = read(path, sixteen, resize_patch=True)
    assert loaded.audit.share == 1.0
    assert loaded.audit.resized == [
        "model.pos_embed (1x257x32 to 1x197x32)",
        "model.patch_embed.proj.weight (32x3x14x14 to 32x3x16x16)",
    ]
    # A patch of one colour has the same response whatever its size.
    kernels = weights["patch_embed.proj.weight"], loaded.state["model.patch_embed.proj.weight"]
    sums = [kernel.sum(dim=(2, 3)) for kernel in kernels]
    torch.testing.assert_close(*sums, atol=2e-4, rtol=1e-3)
    assert read(path, build(img_size=224, patch_size=14)).audit.resized == []


def test_original_swin_names_and_buffers(tmp_path):
    small = dict(img_size=64, window_size=4, embed_dim=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 2, 2))
    backbone = TimmBackbone("swin_tiny_patch4_window7_224", **small, dense=True)
    wanted = backbone.state_dict()
    original = {}
    for name, value in wanted.items():
        # The original ends a stage with what timm begins the next one with.
        found = re.sub(r"layers\.(\d)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample", name)
        original[found.removeprefix("model.")] = value + 1
    original["layers.0.blocks.1.attn_mask"] = torch.zeros(16, 16, 16)
    original["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(16, 16, dtype=torch.long)
    original["head.weight"], original["head.bias"] = torch.zeros(10, 128), torch.zeros(10)
    torch.save({"model": original}, tmp_path / "swin_tiny_patch4_window7_224.pth")
    loaded = read(tmp_path / "swin_tiny_patch4_window7_224.pth", backbone)
    assert (loaded.audit.share, loaded.audit.unexpected) == (1.0, [])
    assert all(torch.equal(loaded.state[name], value + 1) for name, value in wanted.items())


def test_nothing_of_a_released_file_is_executed(cfg_node, tmp_path):
    torch.save(released("mixpro", cfg_node), tmp_path / "a.pth")
    content = load_checkpoint(tmp_path / "a.pth")
    assert content["config"]["AUG"]["MASKMIX_PROB"] == 0.5
    assert type(content["config"]).__module__ == "collections"
