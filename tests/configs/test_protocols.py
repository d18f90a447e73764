"""Every config keeps to its protocol, and the protocols to the configs they follow."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest

from mixpro_bench.config import recipe_hash
from mixpro_bench.errors import UserError
from mixpro_bench.protocols import PROTOCOLS, deviations, global_batch, protocol_of, value_at

sys.path.insert(0, str(Path(__file__).parent))
from shipped import CONFIGS, ENTRIES, loaded

pytestmark = pytest.mark.mm

IN1K = CONFIGS / "pretrain/in1k"
OFFICIAL = sorted({e.protocol for e in ENTRIES if e.protocol.startswith("in1k-official-")})


def test_configs_keep_to_their_protocols(entry):
    cfg = loaded(entry.file)
    # At paper scale the batch is written for 8 processes, for 4 in SMMix' own recipe.
    processes = 4 if entry.protocol == "in1k-official-smmix" else 8
    assert deviations(cfg, processes if protocol_of(cfg.bench).claims else None) == []
    # One process of the written batch draws what the protocol's mixing group draws.
    if entry.protocol.startswith("in1k-") and "policy" in cfg.model:
        assert cfg.model.policy.mix_group == cfg.train_dataloader.batch_size
    assert {key: cfg.bench[key] for key in ("task", "backbone", "protocol", "version")} == {
        key: getattr(entry, key) for key in ("task", "backbone", "protocol", "version")
    }
    if entry.task == "pretrain":
        assert (cfg.bench.method, cfg.bench.preset) == (entry.method, entry.preset)
        # MixMIM is an objective of its own, without a policy.
        assert cfg.model.get("policy", {}).get("preset", "mixmim") == entry.preset


@pytest.mark.parametrize("name", ["none", "smmix", "transmix-fixed", "tokenmix"])
def test_methods_of_a_backbone_share_their_recipe(name):
    first, other = (loaded(IN1K / f"deit/deit_tiny_p16_{n}.py") for n in ("mixpro", name))
    assert recipe_hash(first) == recipe_hash(other)
    assert recipe_hash(first) == recipe_hash(loaded(IN1K / "swin/swin_tiny_mixpro.py"))


@pytest.mark.parametrize("protocol", OFFICIAL)
def test_an_official_recipe_is_no_other_and_has_its_control(protocol):
    method = next(e for e in ENTRIES if e.protocol == protocol and e.preset != "mixup-cutmix")
    control = next(e for e in ENTRIES if e.protocol == protocol and e.preset == "mixup-cutmix")
    assert method.backbone == control.backbone
    processes = 4 if "smmix" in protocol else 8
    recipe = recipe_hash(loaded(method.file), processes)
    assert recipe == recipe_hash(loaded(control.file), processes)
    assert recipe != recipe_hash(loaded(IN1K / "deit/deit_tiny_p16_mixpro.py"), 8)
    pretending = copy.deepcopy(loaded(method.file).to_dict())
    pretending["bench"].update(protocol="in1k-300e", version=1)
    assert deviations(pretending, 8)


def test_averages_go_downstream_where_the_recipe_keeps_them():
    for protocol in OFFICIAL:
        for cfg in (loaded(e.file) for e in ENTRIES if e.protocol == protocol):
            averaged = any(hook["type"] == "EMAHook" for hook in cfg.custom_hooks)
            assert averaged == (cfg.bench.get("transfer_weights") == "ema")
            assert averaged == any(word in protocol for word in ("transmix", "tokenmix"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train_cfg.max_epochs", 299),
        ("optim_wrapper.optimizer.lr", 5e-4),
        ("optim_wrapper.clip_grad", dict(max_norm=5.0)),
        ("param_scheduler", []),
        ("model.backbone.drop_path_rate", 0.2),
        ("model.policy.smoothing", 0.0),
        ("model.policy.mix_group", 64),
        ("train_dataloader.dataset.transform.re_prob", 0.0),
        ("custom_hooks", [dict(type="mixpro_bench.MixProHook"), dict(type="EMAHook")]),
    ],
)
def test_a_changed_number_is_told(key, value):
    cfg = copy.deepcopy(loaded(IN1K / "deit/deit_tiny_p16_mixpro.py").to_dict())
    *path, last = key.split(".")
    place = value_at(cfg, ".".join(path)) if path else cfg
    place[last] = value
    told = deviations(cfg)
    assert len(told) == 1
    assert key in told[0]


def test_the_global_batch_counts_processes_and_accumulation():
    cfg = copy.deepcopy(loaded(IN1K / "deit/deit_tiny_p16_mixpro.py").to_dict())
    assert deviations(cfg, world_size=8) == []
    assert "the global batch is 512" in deviations(cfg, world_size=4)[0]
    cfg["optim_wrapper"]["accumulative_counts"] = 2
    assert global_batch(cfg, 4) == 1024
    assert deviations(cfg, world_size=4) == []


def test_unknown_protocols_are_refused():
    with pytest.raises(UserError, match="in1k-300e has version 1"):
        protocol_of(dict(protocol="in1k-300e", version=2))
    with pytest.raises(UserError, match="none of ade20k"):
        protocol_of(dict(protocol="in1k-300", version=1))
    assert all(key == (p.name, p.version) and p.source for key, p in PROTOCOLS.items())


@pytest.mark.parametrize(
    ("protocol", "theirs"),
    [
        ("coco-maskrcnn-1x", "mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py"),
        ("coco-maskrcnn-3x", "mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco.py"),
        (
            "ade20k-upernet-160k",
            "mmseg::swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py",
        ),
        ("ade20k-upernet-80k", "mmseg::vit/vit_vit-b16_mln_upernet_8xb2-80k_ade20k-512x512.py"),
    ],
)
def test_the_protocols_of_transfer_are_those_of_mmdet_and_mmseg(tmp_path, protocol, theirs):
    """Their own config, given what this package adds on purpose, keeps to the protocol."""
    from mmengine.config import Config

    path = tmp_path / "theirs.py"
    path.write_text(f'_base_ = "{theirs}"\n')
    cfg = Config.fromfile(path).to_dict()
    task = PROTOCOLS[protocol, 1].task
    cfg["bench"] = dict(task=task, backbone="swin_tiny", protocol=protocol, version=1)
    batch = cfg["train_dataloader"]["batch_size"] * 8
    cfg["auto_scale_lr"] = dict(enable=True, base_batch_size=batch)
    cfg["optim_wrapper"].update(constructor="mixpro_bench.ParamGroups", paramwise_cfg=None)
    if theirs.startswith("mmseg::vit"):
        cfg["model"]["backbone"]["drop_path_rate"] = 0.3  # a ViT's own
    assert deviations(cfg, world_size=8) == []


def test_the_page_says_what_the_protocols_say():
    lines = (CONFIGS.parent / "docs/protocols.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `in1k-")]
    told = {name.strip("`"): cells for name, *cells in rows}
    aside = {"in1k-10e", "in1k-mim-600e"}  # told in sentences
    assert all(f"`{name}`" in "\n".join(lines) for name in aside)
    assert set(told) == {name for name, _ in PROTOCOLS if name.startswith("in1k-")} - aside
    for name, (epochs, batch, group, warmup, schedule, decay, erasing, other) in told.items():
        fixes = PROTOCOLS[name, 1].fixes
        first = fixes["param_scheduler"][0]
        assert int(epochs) == fixes["train_cfg.max_epochs"]
        assert int(batch) == PROTOCOLS[name, 1].batch == fixes["auto_scale_lr"]["base_batch_size"]
        assert int(group) == fixes["model.policy.mix_group"]
        assert int(warmup) == first.get("warmup", first.get("end"))
        assert ("by step" in schedule) == first.get("convert_to_iter_based", False)
        assert ("one late" in schedule) == bool(first.get("late"))
        assert ("under the warm-up" in schedule) == first["type"].endswith("UnderWarmupLR")
        assert float(decay) == fixes["optim_wrapper.optimizer"]["weight_decay"]
        assert float(erasing) == fixes["train_dataloader.dataset.transform"]["re_prob"]
        averaged = "averaged weights" in other or "as above" in other
        assert averaged == (fixes["bench.transfer_weights"] == "ema")
        assert ("repeated" in other) == ("repeats" in fixes["train_dataloader.sampler"])
    assert {p.name for p in PROTOCOLS.values() if p.task != "pretrain" and p.claims} == {
        *("coco-maskrcnn-1x", "coco-maskrcnn-3x", "coco-maskrcnn-1x-layerdecay"),
        *("ade20k-upernet-160k", "ade20k-upernet-80k", "ade20k-upernet-160k-layerdecay"),
    }
