"""Suites over several backbones: one config each, or the tiny variant of each system in one config."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from mixpro_bench.config import recipe_hash
from mixpro_bench.errors import UserError
from mixpro_bench.suite.plan import build_plan, read_suite
from mixpro_bench.systems import systems

pytestmark = pytest.mark.mm

CONFIGS = Path(__file__).parents[2] / "configs"
DEMO = CONFIGS / "suites/systems_demo.py"


@pytest.fixture
def suite(tmp_path):
    """Return a function that writes a suite config and returns its path."""

    def write(**changes) -> Path:
        settings = {
            "methods": ["none", "mixpro"],
            "backbones": ["PVT v2", "Sequencer2D"],
            "pretrain": {"config": f"{CONFIGS}/pretrain/digits/system_digits_{{method}}.py", "tiny": True},
            "tasks": {"seg": {"config": f"{CONFIGS}/transfer/seg/upernet_system_digits.py", "tiny": True}},
        } | changes
        path = tmp_path / "toy.py"
        path.write_text("".join(f"{key} = {value!r}\n" for key, value in settings.items() if value is not None))
        return path

    return write


def test_every_backbone_has_its_runs(suite, tmp_path):
    plan = build_plan(suite(scratch=True), tmp_path / "work", dry=True)
    names = [run.name for run in plan.runs]
    assert len(names) == len(set(names)) == 10
    assert "pretrain/pvt_v2/none/seed0" in names
    assert "seg/sequencer2d/scratch/seed0" in names
    needs = {run.name: run.needs for run in plan.runs}
    assert needs["seg/pvt_v2/mixpro/seed0"] == "pretrain/pvt_v2/mixpro/seed0"
    chosen = build_plan(suite(), tmp_path / "work", only=["seg/pvt_v2/mixpro"], dry=True)
    assert [run.name for run in chosen.runs] == ["pretrain/pvt_v2/mixpro/seed0", "seg/pvt_v2/mixpro/seed0"]


def test_the_systems_stand_in_the_config_with_all_that_follows(suite, tmp_path):
    plan = build_plan(suite(), tmp_path / "work", dry=True)
    by_name = {run.name: run for run in plan.runs}
    read = {}
    for name in ("pretrain/pvt_v2/mixpro/seed0", "pretrain/sequencer2d/mixpro/seed0", "seg/sequencer2d/mixpro/seed0"):
        by_name[name].begin(None)
        read[name] = Config.fromfile(by_name[name].config)
    pvt, sequencer, seg = read.values()
    assert pvt.bench.backbone == "pvt_v2_test"
    assert pvt.model.backbone.name == "pvt_v2_b0"
    assert pvt.model.backbone.num_classes == 10
    assert pvt.model.policy.mask_patch == 16
    assert sequencer.model.policy.mask_patch == 14  # whole patches of 7
    assert seg.model.backbone.dense
    assert seg.model.backbone.init_cfg.type == "mixpro_bench.Handover"
    assert (list(seg.model.neck.in_channels), list(seg.model.neck.in_strides)) == ([24, 48, 48, 48], [7, 14, 14, 14])
    assert seg.model.neck.out_channels == 64
    assert recipe_hash(pvt) == recipe_hash(sequencer)


def test_a_name_in_the_path_of_the_config(suite, tmp_path):
    plan = build_plan(
        suite(
            backbones=["pvt_tiny", "hornet_tiny"],
            pretrain={"config": f"{CONFIGS}/pretrain/systems/{{backbone}}_{{method}}.py"},
            tasks={"det": {"config": f"{CONFIGS}/transfer/det/systems/mask-rcnn_{{backbone}}_1x.py"}},
        ),
        tmp_path / "work",
        dry=True,
    )
    assert [run.name for run in plan.runs][::3] == [
        "pretrain/pvt_tiny/none/seed0",
        "pretrain/hornet_tiny/mixpro/seed0",
        "det/hornet_tiny/none/seed0",
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (dict(backbones=None), "pretrain is for several backbones, but backbones=.* names none"),
        (
            dict(tasks={"seg": {"config": f"{CONFIGS}/transfer/seg/upernet_system_digits.py"}}),
            "would all be the same in seg: write {backbone} in its config's name, or tiny=True",
        ),
        (dict(backbones=["PVT v2", "PVT v2"]), "backbones names something twice"),
        (dict(backbones=["PVT v3"]), "there is no system 'PVT v3'; did you mean 'PVT v2'"),
    ],
)
def test_mistakes(suite, tmp_path, changes, sentence):
    with pytest.raises(UserError, match=sentence):
        build_plan(suite(**changes), tmp_path / "work", dry=True)


def test_the_demo_names_every_system():
    assert sorted(read_suite(DEMO).backbones) == sorted(one.name for one in systems())
