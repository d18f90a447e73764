"""The configs of the systems: five for each, of the table's smallest variant, ranked with the others of a protocol."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch

from mixpro_bench.config import recipe_hash
from mixpro_bench.pretrain.classifier import build_policy
from mixpro_bench.registry import MODELS
from mixpro_bench.systems import System, systems
from mixpro_bench.systems.checks import build, made_up, scope
from mixpro_bench.systems.swap import put_backbone, widths

sys.path.insert(0, str(Path(__file__).parent))
from shipped import CONFIGS, ENTRIES, loaded, of_system

pytestmark = pytest.mark.mm

OWN = [e for e in ENTRIES if of_system(e)]
SHOWN = ("hornet_tiny", "tnt_small")
LIKE = {
    "pretrain": "pretrain/in1k/swin/swin_tiny_mixpro.py",
    "det": "transfer/det/coco/mask-rcnn_swin_tiny_1x.py",
    "seg": "transfer/seg/ade20k/upernet_swin_tiny_160k.py",
}
PARAMS = [
    pytest.param(e, id=Path(e.file).stem, marks=() if e.backbone in SHOWN else pytest.mark.configs)
    for e in OWN
    if e.task != "pretrain" or e.preset in ("none", "mixpro")
]
each = pytest.mark.parametrize("entry_of_system", PARAMS)


def system_of(backbone: str) -> System:
    """Find the row of the table that a base config names."""
    text = (CONFIGS / f"_base_/backbones/{backbone}.py").read_text()
    type_, name = re.search(r'type="([\w.]+)"', text)[1], re.search(r'\b(?:name|variant)="(\w+)"', text)[1]
    return next(one for one in systems() if (one.build["type"], one.smallest.name) == (type_, name))


def test_every_system_has_its_configs():
    bases = [path.stem for path in (CONFIGS / "_base_/backbones").glob("*.py")]
    texts = {base: (CONFIGS / f"_base_/backbones/{base}.py").read_text() for base in bases}
    listed = {(e.backbone, e.protocol, e.preset) for e in ENTRIES}
    for one in systems():
        variants = {variant.name for variant in one.variants}
        own = [b for b in bases if any(f'"{name}"' in texts[b] for name in variants)]
        assert own, f"{one.name} has no config under configs/_base_/backbones"
        complete = [
            b
            for b in own
            if {(b, "in1k-300e", preset) for preset in ("none", "mixup-cutmix", "mixpro")} <= listed
            and {protocol for backbone, protocol, _ in listed if backbone == b}
            >= {"coco-maskrcnn-1x", "ade20k-upernet-160k"}
        ]
        assert complete, f"{one.name} lacks a pretraining or a transfer"


@each
def test_names_the_smallest_variant_and_is_ranked_with_the_others(entry_of_system):
    cfg = loaded(entry_of_system.file)
    own = dict(cfg.model.backbone)
    one = system_of(entry_of_system.backbone)
    assert {key: own[key] for key in (*one.build, one.key)} == one.config()
    assert recipe_hash(cfg) == recipe_hash(loaded(CONFIGS / LIKE[entry_of_system.task]))
    if entry_of_system.task == "pretrain":
        backbone = build(own, meta=True)
        build_policy(dict(cfg.model.policy)).setup(backbone, 1000, (224, 224))
        return
    assert own["init_cfg"]["type"] == "mixpro_bench.Handover"
    neck = cfg.model.neck["necks"][0] if "necks" in cfg.model.neck else cfg.model.neck
    plain = {key: value for key, value in own.items() if key != "init_cfg"}
    assert (list(neck["in_channels"]), list(neck["in_strides"])) == widths(plain)


@pytest.mark.parametrize("entry_of_system", [p for p in PARAMS if p.values[0].task != "pretrain"])
def test_takes_a_step_downstream_with_a_tiny_backbone(entry_of_system):
    one = system_of(entry_of_system.backbone)
    cfg = put_backbone(loaded(entry_of_system.file), one.small_config(), entry_of_system.backbone)
    torch.manual_seed(0)
    with scope(cfg.default_scope):
        cfg.model["backbone"]["init_cfg"] = None
        if entry_of_system.task == "seg":
            cfg.model.data_preprocessor.update(size=None, size_divisor=32)
        model = MODELS.build(cfg.model).train()
        data = model.data_preprocessor(made_up(entry_of_system.task, 96, 131), True)
        loss, _ = model.parse_losses(model(**data, mode="loss"))
        loss.backward()
    assert torch.isfinite(loss)
    assert [n for n, p in model.backbone.named_parameters() if p.requires_grad and p.grad is None] == []
