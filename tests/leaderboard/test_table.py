"""The table: what stands together, what is said of it, and what the outputs look like."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest
from rich.console import Console

from mixpro_bench.cli.main import main
from mixpro_bench.leaderboard import write_record
from mixpro_bench.leaderboard.table import build_tables, format_cell
from mixpro_bench.leaderboard.write import print_tables, to_csv, to_markdown

GOLDEN = """\
# Leaderboard

## pretrain: p-pretrain v1, det: p-det v1, seg: p-seg v1

| backbone   | method   | n   |      top-1 |     box AP |   mIoU | weights   |   pretrain img/s |   pretrain min |   det img/s |   det min |   seg img/s |   seg min |
|:-----------|:---------|:----|-----------:|-----------:|-------:|:----------|-----------------:|---------------:|------------:|----------:|------------:|----------:|
| vit        | mixpro   | 2   | 91.0 ± 1.4 | 45.0 ± 7.1 |   50.0 (n=1) | ok 100%   |               50 |            2.0 |          50 |       2.0 |          50 (n=1) |       2.0 (n=1) |
"""  # noqa: E501


def cells(table, method):
    row = next(row for row in table.rows if row.texts["method"] == method)
    return {column.key: format_cell(row, column) for column in table.columns}


def test_one_row_joins_the_stages(make, chain):
    (table,) = build_tables([*chain("mixpro"), *chain("cutmix"), make("det", "scratch")])
    assert [row.texts["method"] for row in table.rows] == ["mixpro", "cutmix", "scratch"] or len(table.rows) == 3
    row = cells(table, "mixpro")
    assert (row["top1"], row["box_ap"], row["miou"], row["n"]) == ("90.0", "40.0", "50.0", "1")
    assert cells(table, "scratch")["top1"] == ""
    assert cells(table, "scratch")["load"] == ""
    assert row["load"] == "ok 100%"
    assert "remarks" not in [column.title for column in table.columns]


def test_rows_are_ordered_by_what_transfers(chain):
    records = [*chain("a"), *chain("b"), *chain("c")]
    records[4].metrics["coco/bbox_mAP"] = 0.9
    records[1].metrics["coco/bbox_mAP"] = 0.1
    (table,) = build_tables(records)
    assert [row.texts["method"] for row in table.rows] == ["b", "c", "a"]


def test_seeds_give_mean_spread_and_n(chain):
    second = chain(seed=1)
    second[0].metrics["top1"] = 92.0
    second[1].metrics["coco/bbox_mAP"] = 0.5
    (table,) = build_tables([*chain(), *second[:2]])
    row = cells(table, "mixpro")
    assert row["top1"] == "91.0 ± 1.4"
    assert row["box_ap"] == "45.0 ± 7.1"
    assert row["miou"] == "50.0 (n=1)"
    assert row["n"] == "2"


def test_a_size_that_no_object_has_is_not_measured(make):
    (table,) = build_tables(
        [make("det", metrics={"coco/bbox_mAP": 0.4, "coco/bbox_mAP_s": 0.0, "coco/bbox_mAP_l": -1.0})]
    )
    assert cells(table, table.rows[0].texts["method"])["box_ap_s"] == "0.0"
    assert "box_ap_l" not in {column.key for column in table.columns}


def test_two_transfers_of_one_pretraining_are_no_two_seeds(make, chain):
    (table,) = build_tables([*chain(), make("det", seed=5, pretrain_seed=0, metrics={"coco/bbox_mAP": 0.5},
                                            provenance={"upstream_sha256": "mixpro0"})])  # fmt: skip
    row = cells(table, "mixpro")
    assert (row["n"], row["box_ap"]) == ("1", "45.0")


@pytest.mark.parametrize(
    "change",
    [
        {"recipe_hash": "other"},
        {"protocol": {"name": "p-det", "version": 2}},
        {"provenance": {"data_fingerprint": "other"}},
    ],
)
def test_other_conditions_stand_in_a_table_of_their_own(make, chain, change):
    records = [*chain("mixpro"), *chain("cutmix")]
    records[4] = make("det", "cutmix", **change)
    tables = build_tables(records)
    assert len(tables) == 2
    for table in tables:
        assert sum("box_ap" in row.cells for row in table.rows) == 1
        assert len({c for c in table.conditions if c.stage == "det"}) == 1
    assert cells(tables[1], tables[1].rows[0].texts["method"])["top1"] == "90.0"


def test_transfers_of_differently_pretrained_models_are_not_ranked_together(make, chain):
    long = chain("cutmix", recipe_hash="long")
    long[1] = make("det", "cutmix")
    tables = build_tables([*chain("mixpro"), *long, make("det", "scratch")])
    for table in tables:
        methods = {row.texts["method"] for row in table.rows}
        assert not {"mixpro", "cutmix"} <= methods
    assert all("scratch" in {row.texts["method"] for row in t.rows} for t in tables if t.rows and len(t.conditions) > 1)


def test_only_scratch_and_only_transfers_have_tables_too(make):
    (table,) = build_tables([make("det", "scratch"), make("seg", "scratch")])
    assert {"box_ap", "miou"} <= set(table.rows[0].cells)
    upstream = {"protocol": "p-pretrain", "version": 1, "recipe_hash": "r"}
    (table,) = build_tables([make("det", upstream=upstream), make("seg", upstream=upstream)])
    assert len(table.rows) == 1
    (table,) = build_tables([make("det", "deit_small", pretrain_seed=None)])
    assert table.rows[0].n == 1


def test_what_a_reader_must_know_is_marked(chain):
    records = chain()
    records[0].provenance.dirty = True
    records[1].provenance.load_audit.share = 0.8755
    records[1].provenance.load_audit.missing = 1
    records[2].provenance.load_audit = None
    records[2].not_finite = ["aAcc"]
    (table,) = build_tables(records)
    row = cells(table, "mixpro")
    assert row["load"] == "INCOMPLETE 87.5%"
    assert row["marks"] == "dirty; weights incomplete; no load audit; not finite: aAcc"


def test_golden_markdown(chain):
    second = chain(seed=1)
    second[0].metrics["top1"] = 92.0
    second[1].metrics["coco/bbox_mAP"] = 0.5
    text = to_markdown(build_tables([*chain(), *second[:2]]))
    squeeze = [[cell.strip(" -") for cell in line.split("|")] for line in text.splitlines()]
    golden = [[cell.strip(" -") for cell in line.split("|")] for line in GOLDEN.splitlines()]
    assert squeeze[: len(golden)] == golden
    assert "- n=1" not in text
    assert "- det: p-det v1, recipe recipe-d, data data-det" in text
    assert "- ± is the standard deviation over pretraining seeds (n)" in text


def test_one_seed_says_so(chain):
    text = to_markdown(build_tables(chain()))
    assert "±" not in text
    assert "n=1: one pretraining seed, so no spread is known" in text


def test_csv_holds_full_numbers(make, chain):
    second = chain(seed=1)
    second[0].metrics["top1"] = 92.0
    other = make("det", "cutmix", recipe_hash="other")
    rows = list(csv.DictReader(io.StringIO(to_csv(build_tables([*chain(), *second[:2], other])))))
    mixpro = rows[0]
    assert float(mixpro["top1"]) == 91.0
    assert float(mixpro["top1_sd"]) == pytest.approx(2**0.5)
    assert mixpro["top1_n"] == "2"
    assert (mixpro["miou_sd"], mixpro["miou_n"]) == ("", "1")
    assert {row["table"] for row in rows} == {"1", "2"}


@pytest.mark.parametrize("name", ["a|b", "<script>alert(1)</script>", "[red]x[/red]", "[/]", "Ünïcode 混合"])
def test_names_cannot_break_an_output(chain, name):
    tables = build_tables(chain(name))
    text = to_markdown(tables)
    assert "<script>" not in text
    assert len({line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("|")}) == 1
    out = io.StringIO()
    print_tables(tables, Console(file=out, width=200))
    assert name in out.getvalue()
    assert next(csv.DictReader(io.StringIO(to_csv(tables))))["method"] == name


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_narrow_terminal_loses_columns_of_detail_and_says_so(chain, width):
    out = io.StringIO()
    print_tables(build_tables(chain("mixpro")), Console(file=out, width=width))
    text = out.getvalue()
    assert "mixpro" in text
    assert "40.0" in text
    assert max(map(len, text.splitlines())) <= width
    assert ("no room here for" in text) == (width < 200)


def test_command(chain, tmp_path, capsys):
    for number, record in enumerate(chain()):
        write_record(record, tmp_path / f"runs/{number}/record.json")
    (tmp_path / "runs/bad").mkdir()
    (tmp_path / "runs/bad/record.json").write_text("{")
    files = tmp_path / "out/t.md", tmp_path / "out/t.csv"
    code = main(["leaderboard", str(tmp_path / "runs"), "--markdown", str(files[0]), "--csv", str(files[1])])
    out, err = capsys.readouterr()
    assert code == 0
    assert "mixpro" in out
    assert f"written: {files[0]}" in out
    assert "bad/record.json" in err
    assert "| mixpro " in files[0].read_text()
    assert files[1].read_text().startswith("table,conditions,backbone,method,n,top1,")
    (tmp_path / "empty").mkdir()
    assert main(["leaderboard", str(tmp_path / "empty")]) == 2
    assert "no record.json below" in capsys.readouterr().err


def test_command_needs_no_torch(make, tmp_path):
    write_record(make(), tmp_path / "record.json")
    code = (
        "import sys; from mixpro_bench.cli.main import main; assert main(['leaderboard', sys.argv[1]]) == 0; "
        "assert not {'torch', 'mmengine'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, stdout=subprocess.DEVNULL)


def test_a_thousand_columns_reach_every_output(make, tmp_path, capsys):
    metrics = {f"metric {k}": float(k) for k in range(1000)}
    write_record(make(metrics={**metrics, "top1": 90.0}), tmp_path / "runs/record.json")
    for k in range(500):
        # A task that nobody knows brings columns of cost of its own.
        record = make("det", provenance={"data_fingerprint": f"data-{k}"})
        record.stage = f"task {k}"
        write_record(record, tmp_path / f"runs/{k}/record.json")
    files = {end: tmp_path / f"out.{end}" for end in ("md", "csv", "tex", "json")}
    command = ["leaderboard", str(tmp_path / "runs"), "--markdown", str(files["md"]), "--csv", str(files["csv"])]
    assert main([*command, "--latex", str(files["tex"]), "--json", str(files["json"])]) == 0
    assert "no room here for: " in capsys.readouterr().out
    (line,) = csv.DictReader(io.StringIO(files["csv"].read_text()))
    assert sum(key.endswith("_minutes") for key in line) == 501
    assert files["md"].read_text().count(" task 499 min ") == 1
    assert len(json.loads(files["json"].read_text())["tables"][0]["columns"]) > 1000


def test_what_was_written_before_stays_when_nothing_can_be_read(tmp_path, capsys):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/record.json").write_text('{"schema_version": 1, "sta')
    before = tmp_path / "table.md"
    before.write_text("of yesterday")
    assert main(["leaderboard", str(tmp_path / "runs"), "--markdown", str(before)]) == 2
    assert "none of the 1 Records" in capsys.readouterr().err
    assert before.read_text() == "of yesterday"


def test_two_that_write_the_same_outputs_both_succeed(make, tmp_path):
    write_record(make(), tmp_path / "runs/record.json")
    files = [str(tmp_path / name) for name in ("t.md", "t.csv", "t.tex", "t.json", "page")]
    names = ("--markdown", "--csv", "--latex", "--json", "--html")
    options = [word for pair in zip(names, files, strict=True) for word in pair]
    command = [sys.executable, "-m", "mixpro_bench", "leaderboard", str(tmp_path / "runs"), *options]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [one.wait(120) for one in both] == [0, 0]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "index.html", "record.json", "t.csv", "t.json", "t.md", "t.tex"
    ]  # fmt: skip
    json.loads((tmp_path / "t.json").read_text())
