"""The commands about systems: the table, its page, what is stored of checks, and what a step costs."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from mixpro_bench.cli.main import main
from mixpro_bench.errors import UserError
from mixpro_bench.systems import System, Variant, system, systems
from mixpro_bench.systems.listing import REGENERATE
from mixpro_bench.systems.swap import put_backbone
from mixpro_bench.systems.verified import NAMES, store, stored

ROOT = Path(__file__).parents[2]


def test_the_list_needs_no_torch():
    code = (
        "import sys; from mixpro_bench.cli.main import main; code = main(['systems']); "
        "assert code == 0; assert 'torch' not in sys.modules"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(one.name in told for one in systems())


def test_json_tells_everything(capsys):
    assert main(["systems", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["systems"]}
    assert list(rows) == [one.name for one in systems()]
    deit = rows["DeiT"]
    assert deit["variants"][0]["parameters"] == 5_717_416
    assert deit["published"][0]["source"]
    assert all(set(row["verified"]) == set(NAMES) for row in rows.values())
    assert all(row[key] for row in rows.values() for key in ("kind", "config", "strides", "attention", "source"))


def test_the_page_in_docs_is_what_the_command_prints(capsys):
    assert main(["systems", "--markdown"]) == 0
    assert (ROOT / "docs/systems.md").read_text() == capsys.readouterr().out, f"run: {REGENERATE}"


def test_an_unknown_name_is_one_sentence(capsys):
    assert main(["systems", "--verify", "deeit"]) == 2
    assert capsys.readouterr().err == (
        "mixpro-bench: there is no system 'deeit'; did you mean 'DeiT'? (mixpro-bench systems lists all)\n"
    )


def test_entries_are_kept_side_by_side(tmp_path):
    path = tmp_path / "verified.json"
    store({"B": {"verified": {}}, "gone": {}}, ["B", "a", "gone"], path)
    store({"a": {"verified": {"features": True}}}, ["B", "a"], path)
    assert list(stored(path)) == ["a", "B"]
    assert stored(path)["a"]["verified"] == {"features": True}


def wrong(**changes) -> System:
    return dataclasses.replace(system("DeiT"), **changes)


@pytest.mark.parametrize(
    ("one", "check", "sentence"),
    [
        (wrong(variants=(Variant("deit_tiny_patch16_224", 5_717_417),)), "parameters", "expected 5717417, found"),
        (wrong(variants=(Variant("deit_tiny_patch16_224", 5_717_416, 1.3),)), "parameters", "GMACs of .* within 2 %"),
        (wrong(strides=(4, 8, 16, 32)), "parameters", "strides of the maps"),
        (wrong(importance="cam"), "parameters", "own kind of importance"),
        (wrong(test=dict(name="deit_tiny_patch16_224", img_size=64, no_such=1)), "features", "no_such"),
    ],
    ids=["parameters", "macs", "strides", "importance", "argument"],
)
def test_checks_see_what_is_wrong(one: System, check: str, sentence: str):
    from mixpro_bench.systems.checks import CHECKS

    with pytest.raises(Exception, match=sentence):
        CHECKS[check](one)


def test_a_config_without_a_backbone_takes_none():
    with pytest.raises(UserError, match=r"no model\.backbone that another could replace"):
        put_backbone(Config(dict(model=dict(type="X"))), system("DeiT").small_config(), "deit_test")


@pytest.mark.slow
def test_a_step_is_measured_in_a_process_of_its_own(capsys):
    words = ["benchmark", "systems", "DeiT", "Swin", "--small", "--size", "64", "96", "--device", "cpu", "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told["systems"]) == ["DeiT", "Swin"]
    assert all(found["seconds"] > 0 and found["peak_mib"] > 0 for found in told["systems"].values())
    assert told["setting"]["image"] == "64 x 96"


@pytest.mark.slow
def test_a_system_that_ends_badly_takes_no_other_with_it():
    from mixpro_bench.systems.cost import measure_all

    found = measure_all([system("DeiT")], "cpu", size=(3, 3), small=True)["systems"]
    assert "takes images from 16 px" in found["DeiT"]["failed"]
    found = measure_all([system("DeiT")], "cpu", size=(64, 64), small=True, timeout=0.01)["systems"]
    assert found["DeiT"]["failed"] == "no end after 0.01 s"
