"""Differences between two runs, migrations, copies and contradictions, and the command around them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mixpro_bench.cli.main import main
from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard import record as schema
from mixpro_bench.leaderboard import write_record
from mixpro_bench.leaderboard.diff import diff_runs, read_config
from mixpro_bench.leaderboard.index import load_index
from mixpro_bench.leaderboard.migrations import MIGRATIONS, migrate

KEPT = Path(__file__).parents[1] / "data" / "records" / "vit_digits"


def test_every_part_is_compared():
    differences = diff_runs(KEPT / "none/seed0/det", KEPT / "mixpro/seed0/det")
    found = {(one.part, one.key): (one.a, one.b) for one in differences}
    assert found["run", "method.name"] == ("none", "mixpro")
    assert found["config", "model.mixing.prob"] == (0.0, 1.6)
    assert ("data", "upstream weights") in found
    assert ("metrics", "coco/bbox_mAP") in found
    assert ("cost", "images_per_s") in found
    assert not [key for key in found if key[0] in ("code", "packages")]
    assert diff_runs(KEPT / "none/seed0/det", KEPT / "none/seed0/det/record.json") == []


def test_code_and_versions(make, tmp_path):
    one = make(provenance={"commit": "a", "packages": {"torch": "2.11", "timm": "1"}})
    other = make(provenance={"commit": "b", "dirty": True, "packages": {"torch": "2.10"}})
    paths = [write_record(record, tmp_path / name / "record.json") for name, record in (("a", one), ("b", other))]
    (tmp_path / "a/config.py").write_text("x = 1\n")
    found = {(d.part, d.key): (d.a, d.b) for d in diff_runs(*paths)}
    assert found == {
        ("config", "config.py"): ("1 keys", "(absent)"),
        ("code", "commit"): ("a", "b"),
        ("code", "dirty"): (False, True),
        ("packages", "torch"): ("2.11", "2.10"),
        ("packages", "timm"): ("1", "(absent)"),
    }


def test_a_config_is_read_and_never_run(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(
        "import os\n"
        "os.remove(__file__)\n"
        "a = dict(b=[1, -2.5, (3,)], c={'d': None, 'e': dict()}, hooks=[dict(type='X', n=1)])\n"
        "f = open('x').read()\n"
    )
    assert read_config(path) == {
        "a.b": [1, -2.5, [3]],
        "a.c.d": None,
        "a.c.e": {},
        "a.hooks.0.type": "X",
        "a.hooks.0.n": 1,
        "f": "open('x').read()",
    }
    path.write_text("a = (")
    with pytest.raises(UserError, match=r"config\.py cannot be read as a config"):
        read_config(path)


def test_older_versions_are_migrated_step_by_step(make, monkeypatch):
    steps = {
        1: lambda data: {**data, "backbone": data["backbone"] + "+1"},
        2: lambda data: {**data, "backbone": data["backbone"] + "+2"},
    }
    monkeypatch.setattr(schema, "SCHEMA_VERSION", 3)
    for version, step in steps.items():
        monkeypatch.setitem(MIGRATIONS, version, step)
    old = make().model_dump(mode="json") | {"schema_version": 1}
    record = schema.record_from(old)
    assert (record.backbone, record.schema_version) == ("vit+1+2", 3)
    assert schema.record_from(old | {"schema_version": 2}).backbone == "vit+2"
    assert old["backbone"] == "vit"
    with pytest.raises(UserError, match="version 4"):
        schema.record_from(old | {"schema_version": 4})


def test_every_older_version_has_its_migration():
    assert set(MIGRATIONS) == set(range(1, schema.SCHEMA_VERSION))
    assert migrate({"schema_version": 1, "x": 1}, 1, 1) == {"schema_version": 1, "x": 1}


@pytest.fixture
def folder(make, tmp_path):
    write_record(make(), tmp_path / "a/record.json")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    write_record(make(metrics={"top1": 91.0}), tmp_path / "c/record.json")
    (tmp_path / "d").mkdir()
    broken = make().model_dump(mode="json") | {"metrics": {"top1": float("nan")}}
    (tmp_path / "d/record.json").write_text(json.dumps(broken))
    return tmp_path


def test_copies_count_once_and_contradictions_are_named(folder):
    index = load_index(folder)
    assert [path.parent.name for path, _ in index.records] == ["a", "c"]
    assert index.copies == ((folder / "b/record.json", folder / "a/record.json"),)
    (sentence,) = index.contradictions
    assert f"{folder / 'c/record.json'} contradicts {folder / 'a/record.json'}" in sentence
    assert "(top1)" in sentence


def test_command(folder, capsys):
    assert main(["record", "validate", str(folder)]) == 1
    out, err = capsys.readouterr()
    assert "2 good Records, 2 problems" in out
    assert "metrics.top1" in err
    assert "contradicts" in err
    assert main(["record", "validate", str(folder / "a")]) == 0
    assert main(["record", "validate", str(folder / "d/record.json")]) == 1
    assert main(["record", "show", str(folder / "a")]) == 0
    assert "pretrain: mixpro on vit, p-pretrain v1" in capsys.readouterr().out
    assert main(["record", "show", str(folder / "a"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["backbone"] == "vit"
    assert main(["record", "diff", str(folder / "a"), str(folder / "b")]) == 0
    assert "no difference" in capsys.readouterr().out
    assert main(["record", "diff", str(folder / "a"), str(folder / "c"), "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert one == {"part": "metrics", "key": "top1", "a": 90.0, "b": 91.0}
    assert main(["record", "show", str(folder / "none")]) == 2
    assert main(["record", "schema"]) == 0
    assert main(["leaderboard", str(folder)]) == 0
    err = capsys.readouterr().err
    assert "is a copy of" in err
    assert "warning: " in err
