"""Results files: what goes in, what is refused, and several writers at once."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpro_bench.cli.main import main
from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard import write_record
from mixpro_bench.leaderboard.index import load_index
from mixpro_bench.leaderboard.record import record_from
from mixpro_bench.leaderboard.submission import check, checksum, is_results, line_of, submit

CURVE = {"loss": {"axis": "iter", "at": [1], "values": [2.0]}}


@pytest.fixture
def run(make, tmp_path):
    """Make the folder of a finished run: checkpoint and Record."""

    def one(stage="pretrain", method="mixpro", seed=0, **changes):
        folder = tmp_path / "runs" / f"{stage}-{method}-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        weights = f"{stage} {method} {seed}".encode()
        (folder / "last.pth").write_bytes(weights)
        source = {
            "config_sha256": "c" * 64,
            "checkpoint": str(folder / "last.pth"),
            "checkpoint_sha256": hashlib.sha256(weights).hexdigest(),
            "device": "toy",
            "packages": {"torch": "2"},
        }
        record = make(stage, method, seed, provenance=source | changes.pop("provenance", {}), **changes)
        write_record(record, folder / "record.json")
        return folder

    return one


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    return folder / "results.jsonl"


def command(*words):
    return main(["submit", *map(str, words)])


def test_lines_are_sorted_and_each_is_its_record(run, results, tmp_path):
    folders = [
        run(stage, method, seed, series=CURVE) for stage in ("seg", "pretrain") for method in "ba" for seed in (1, 0)
    ]
    assert command(*folders, "--to", results) == 0
    assert command("--check", results) == 0
    lines = results.read_text().splitlines()
    assert len(lines) == 8
    assert lines == sorted(lines)
    told = [json.loads(line) for line in lines]
    assert told[0]["run"] == "p-pretrain v1, vit, a, seed 0"
    assert told[4]["run"] == "p-seg v1, vit, a, seed 0 of pretraining seed 0"
    assert all(list(one) == ["run", "sha256", "record"] for one in told)
    assert str(tmp_path) not in results.read_text(), "paths of one's machine are nobody's business"
    original = record_from(json.loads((folders[0] / "record.json").read_text()))
    (found,) = (
        r for one in told if (r := record_from(one["record"])).stage == "seg" and r.method.name == "b" and r.seed
    )
    assert (found.metrics, found.created, found.cost) == (original.metrics, original.created, original.cost)
    assert found.provenance.checkpoint == "last.pth"
    assert found.series == {}


def test_curves_are_kept_when_asked_for(run, results):
    submit(run(series=CURVE), results, curves=True)
    assert record_from(json.loads(results.read_text())["record"]).series["loss"].values == [2.0]


def test_the_index_reads_results_files_and_does_not_count_a_run_twice(run, results, tmp_path):
    folders = [run(seed=seed) for seed in (0, 1)]
    command(*folders, "--to", results)
    (tmp_path / "results/images.jsonl").write_text('{"image": 1}\n')
    alone, file, both = (load_index(path) for path in (results.parent, results, tmp_path))
    assert [(path.name, record.seed) for path, record in alone.records] == [
        ("results.jsonl:1", 0),
        ("results.jsonl:2", 1),
    ]
    assert [record for _, record in file.records] == [record for _, record in alone.records]
    assert len(both.records) == 2
    assert len(both.copies) == 2
    assert not both.contradictions
    results.write_text(results.read_text() + "{\n")
    assert [str(path.name) for path, _ in load_index(results).bad] == ["results.jsonl:3"]
    assert main(["record", "validate", str(results)]) == 1


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({"seed": None}, "seed, pretrain_seed"),
        ({"recipe_hash": None}, "recipe_hash"),
        ({"metrics": {}}, "metrics"),
        ({"provenance": {"commit": None}}, "provenance.commit"),
        ({"provenance": {"packages": {}}}, "provenance.packages"),
        ({"provenance": {"checkpoint_sha256": None}}, "provenance.checkpoint_sha256"),
        ({"stage": "det", "provenance": {"load_audit": None}}, "provenance.load_audit"),
        ({"stage": "det", "provenance": {"upstream_sha256": None}}, "provenance.upstream_sha256"),
        ({"pretrain_seed": None}, "pretrain_seed"),
    ],
)
def test_a_missing_field_is_refused_by_name_at_both_ends(run, results, capsys, changes, lacking):
    folder = run(**changes)
    assert command(folder, "--to", results) == 2
    assert f"it lacks {lacking}\n" in capsys.readouterr().err
    assert not results.exists()
    record = record_from(json.loads((folder / "record.json").read_text()))
    results.write_text(line_of(record) + "\n")
    assert command("--check", results) == 1
    assert f"{results}:1: it lacks {lacking}\n" in capsys.readouterr().err


def test_a_run_from_scratch_needs_no_upstream(run, results):
    submit(run("det", "scratch"), results)
    assert check([results]) == (1, [])


def test_a_duplicate_is_refused_whatever_came_out(run, results, tmp_path, capsys):
    submit(run(), results)
    before = results.read_bytes()
    with pytest.raises(UserError, match=r"results\.jsonl:1 holds a run of the same settings.*the same metrics"):
        submit(run(), results)
    with pytest.raises(UserError, match="other metrics"):
        submit(run(metrics={"top1": 91.0}), results)
    assert results.read_bytes() == before
    other = results.with_name("more.jsonl")
    submit(run(), other)
    assert command("--check", results, other) == 1
    assert f"{other}:1: a duplicate: {results}:1" in capsys.readouterr().err
    results.write_bytes(before * 2)
    assert check([results])[1] == [
        f"{results}:2: a duplicate: {results}:1 is of the same settings, seed, data and weights"
    ]


def test_another_checkpoint_than_the_one_evaluated_is_refused(run, results):
    folder = run()
    (folder / "last.pth").write_bytes(b"trained on")
    with pytest.raises(UserError, match="is not the checkpoint that was evaluated"):
        submit(folder, results)
    (folder / "last.pth").unlink()
    submit(folder, results)  # weights are often elsewhere
    assert check([results]) == (1, [])
    (results.parent / "last.pth").write_bytes(b"pretrain mixpro 0")
    assert check([results]) == (1, [])
    (results.parent / "last.pth").write_bytes(b"something else")
    assert "is not the checkpoint that was evaluated" in check([results])[1][0]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda text: text.replace('"top1":90.0', '"top1":99.0'), "the checksum does not fit"),
        (lambda text: text.replace('"top1":90.0', '"top1":NaN'), "metrics.top1"),
        (lambda text: text[: len(text) // 2], "not valid JSON"),
        (lambda text: text + "\n\n" + text, "not valid JSON"),
        (lambda text: text.replace("seed 0", "seed 7"), "it is called"),
        (lambda text: text.replace('"sha256"', '"sha"', 1), "run, sha256, record is expected"),
        (lambda text: "<<<<<<< HEAD\n" + text, "not valid JSON"),
        (lambda text: "[" * 100_000, "not valid JSON"),
        (lambda text: text.replace('"schema_version":1', '"schema_version":99'), "schema version 99"),
    ],
)
def test_a_line_that_was_edited_or_broken_is_refused_and_nothing_is_added_to_it(run, results, damage, problem):
    submit(run(), results)
    damaged = damage(results.read_text().rstrip("\n")) + "\n"
    results.write_text(damaged)
    assert any(problem in sentence for sentence in check([results])[1])
    with pytest.raises(UserError, match="is bad, correct it first"):
        submit(run(seed=1), results)
    assert results.read_text() == damaged


def test_a_wrong_order_is_said_and_mended_by_the_next_submission(run, results):
    for seed in (0, 1):
        submit(run(seed=seed), results)
    results.write_text("".join(reversed(results.read_text().splitlines(keepends=True))))
    assert check([results]) == (1, [f"{results}:2: out of order: sort the lines as text, as LC_ALL=C sort does"])
    submit(run(seed=2), results)
    assert check([results]) == (3, [])
    sorted_by_tool = subprocess.run(["sort", results], env={"LC_ALL": "C"}, capture_output=True, check=True)
    assert sorted_by_tool.stdout == results.read_bytes()


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_any_name_makes_one_line_that_passes(make, method, backbone):
    record = make(method=method, backbone=backbone, metrics={method: 1.5})
    line = line_of(record)
    assert "\n" not in line
    assert checksum(json.loads(line)["record"]) == json.loads(line)["sha256"]
    assert record_from(json.loads(line)["record"]).method == record.method


def test_wrong_words(run, results, tmp_path, capsys):
    folder = run()
    for words in ([], [folder], ["--to", results], [folder, "--check", results], ["--check", results, "--to", results]):
        assert command(*words) == 2
    assert command(folder, "--to", tmp_path / "results.csv") == 2
    assert command(folder, "--to", tmp_path / "none/results.jsonl") == 2
    assert command(tmp_path / "none", "--to", results) == 2
    assert command("--check", tmp_path / "none.jsonl") == 2
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe")
    assert command("--check", tmp_path / "binary.jsonl") == 2
    assert "it is no UTF-8" in capsys.readouterr().err
    assert not is_results(tmp_path / "binary.jsonl")


WRITER = """
import sys
from mixpro_bench.leaderboard.submission import submit
for folder in sys.argv[2:]:
    submit(folder, sys.argv[1])
"""


def test_writers_at_the_same_time_all_find_their_lines(run, results):
    parts = [[run(method=f"m{writer}", seed=seed) for seed in range(12)] for writer in range(3)]
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(results), *map(str, part)]) for part in parts]
    while any(writer.poll() is None for writer in writers):
        if results.exists():
            assert check([results])[1] == [], "a reader never sees half a line"
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert check([results]) == (36, [])
