"""Costs, the best validation, and the marks of rows."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from mixpro_bench.leaderboard.json_view import to_json
from mixpro_bench.leaderboard.latex import to_latex
from mixpro_bench.leaderboard.metrics import METRICS, STAGES
from mixpro_bench.leaderboard.table import build_tables, format_cell
from mixpro_bench.leaderboard.write import to_csv, to_markdown

GPU = {"provenance": {"device": "NVIDIA H100"}}


def shown(table, method="mixpro"):
    row = next(row for row in table.rows if row.method == method)
    return {column.title: format_cell(row, column) for column in table.columns}


def test_every_metric_of_the_question_has_a_column_and_a_gain(make):
    metrics = {stage: {m.raw: 50.0 / m.scale for m in METRICS if m.stage == stage} for stage in STAGES}
    records = [make(stage, method, metrics=metrics[stage]) for stage in metrics for method in ("none", "mixpro")]
    (table,) = build_tables(records, baseline="none")
    titles = [column.title for column in table.columns]
    wanted = "top-1, top-5, box AP, AP50, AP75, AP small, AP medium, AP large, mask AP, mIoU, mAcc, aAcc"
    for title in wanted.split(", "):
        assert f"Δ {title}" in titles
        assert shown(table)[title] == "50.0"
        assert shown(table)[f"Δ {title}"] == "+0.0 (n=1)"


def test_gpu_hours_are_those_of_all_devices(make):
    cost = {"wall_s": 5400.0, "train_s": 5000.0, "devices": 8, "peak_memory_mb": 3072.0, "peak_memory_of": "device"}
    (table,) = build_tables([make(cost=cost, **GPU)])
    cells = shown(table)
    assert (cells["pretrain GPU h"], cells["pretrain GPU GiB"], cells["pretrain min"]) == ("12.00", "3.0", "90.0")
    assert "pretrain RAM GiB" not in cells


def test_a_cpu_has_no_gpu_hours_and_its_memory_is_no_gpus(make):
    cost = {"wall_s": 60.0, "train_s": 50.0, "peak_memory_mb": 512.0, "peak_memory_of": "process"}
    cells = shown(build_tables([make(cost=cost, provenance={"device": "cpu (x86_64, 2 threads)"})])[0])
    assert cells["pretrain RAM GiB"] == "0.5"
    assert not [title for title in cells if "GPU" in title]


def test_small_models_keep_their_digits(make):
    cells = shown(build_tables([make(model={"parameters": 86_000, "macs": 5.1e6})])[0])
    assert (cells["M params"], cells["GMACs"]) == ("0.086", "0.005")


def best(metric, value, **metrics):
    return {"metric": metric, "value": value, "at": 7, "axis": "epoch", "metrics": {metric: value, **metrics}}


def test_the_best_validation_is_shown_only_when_asked_for_and_never_ranked(make):
    records = [
        make(method=method, seed=seed, metrics={"top1": last + seed}, best=best("top1", top + seed))
        for method, last, top in (("none", 80.0, 89.0), ("mixpro", 82.0, 83.0))
        for seed in (0, 1)
    ]
    (table,) = build_tables(records, baseline="none")
    assert not [column for column in table.columns if "best" in column.key]
    (table,) = build_tables(records, baseline="none", best=True)
    assert shown(table)["best top-1"] == "83.5 ± 0.7"
    assert [row.method for row in table.rows] == ["mixpro", "none"]  # by the last checkpoint
    assert table.rows[0].gains.keys() == {"top1"}
    assert any(note.startswith("best: ") for note in table.notes)
    assert "\\textbf{89" not in to_latex([table])
    assert "89.5 ± 0.7" in to_markdown([table])
    line = next(line for line in csv.DictReader(io.StringIO(to_csv([table]))) if line["method"] == "mixpro")
    assert (float(line["best_top1"]), line["best_top1_n"]) == (83.5, "2")
    assert float(line["best_top1_low"]) < 83.5 < float(line["best_top1_high"])
    assert to_json([table], records)["tables"][0]["rows"][0]["cells"]["best_top1"]["mean"] == 83.5


def test_what_a_reader_must_know_is_marked_and_explained(make, chain):
    records = chain("mixpro")
    records[0].provenance.dirty = True
    records[1].data_check = "failed"
    records[1].provenance.load_audit.share = 0.5
    records[1].provenance.load_audit.missing = 4
    records[2].provenance.device = "NVIDIA H100"
    records.append(make("seg", seed=0, metrics={"mIoU": 51.0}, provenance={"device": "NVIDIA T4"}))
    (table,) = build_tables(records)
    (row,) = table.rows
    assert row.marks == ("dirty", "data check failed", "weights incomplete", "contradictory", "mixed devices")
    for mark in row.marks:
        assert any(note.startswith(f"{mark}: ") for note in table.notes)
    assert row.texts["marks"] in to_markdown([table])


def test_runs_off_their_protocol_stand_in_a_table_of_their_own(make, chain):
    kept = [*chain("none"), *chain("mixpro")]
    left = make("det", "mixpro", seed=0, metrics={"coco/bbox_mAP": 0.9})
    left.deviations = ["the global batch is 8, p-det v1 says 16"]
    tables = build_tables([*kept[:4], left, kept[5]], baseline="none")
    assert len(tables) == 2
    ours, off = tables
    assert "box_ap" not in next(row for row in ours.rows if row.method == "mixpro").cells
    (row,) = off.rows
    assert "off protocol" in row.marks
    assert row.gains == {}
    assert off.title.endswith("det: p-det v1 (off protocol)")
    assert "- det: p-det v1, recipe recipe-d, data data-det; off protocol: the global batch is 8" in to_markdown([off])


@pytest.mark.parametrize(
    ("name", "version", "note"),
    [
        ("in1k-300e", 1, None),
        ("in1k-10e", 1, "in1k-10e v1 is for development: not to be held against published numbers"),
        ("in1k-300e", 99, "in1k-300e v99 is no protocol of this package: what it fixes is not known here"),
        ("<b>混合</b>", 0, "<b>混合</b> v0 is no protocol of this package: what it fixes is not known here"),
    ],
)
def test_protocols_that_are_short_or_unknown_are_named(make, name, version, note):
    (table,) = build_tables([make(protocol={"name": name, "version": version})])
    about = [one for one in table.notes if name in one]
    assert about == ([note] if note else [])


def measured(make, stage, name, value, method="mixpro", seed=0):
    """A Record of pretrained weights that were measured and not trained on."""
    record = make("det", method, seed, metrics={name: value}, cost={"wall_s": 60.0, "train_s": 0.0})
    record.stage = stage
    record.protocol.name = f"robustness-{stage}"
    record.provenance.load_audit = None
    return record


def test_robustness_stands_in_the_row_of_its_pretraining(make, chain):
    records = [*chain("mixpro"), measured(make, "knn", "knn/top1", 71.0), measured(make, "shuffle", "shuffle/2", 50.0)]
    (table,) = build_tables(records)
    assert table.rows[0].marks == ()
    cells = shown(table)
    assert cells["k-NN"] == "71.0"
    assert not [title for title in cells if title.startswith(("knn ", "shuffle "))]
    assert "robustness" not in table.title
    assert sum("robustness" in str(condition) for condition in table.conditions) == 2


def test_less_error_is_better(make):
    records = [make(method=method, seed=seed) for method in "ab" for seed in (0, 1)]
    records += [measured(make, "calibration", "calibration/ece", ece + seed, method, seed)
                for method, ece in (("a", 4.0), ("b", 9.0)) for seed in (0, 1)]  # fmt: skip
    (table,) = build_tables(records)
    column = next(column for column in table.columns if column.key == "ece")
    wide = replace(table, columns=(*table.columns[:3], replace(column, detail=0)))
    assert r"\textbf{4.5}" in to_latex([wide])
    assert r"\underline{9.5}" in to_latex([wide])
    lower = {column["key"]: column["lower"] for column in to_json([table], records)["tables"][0]["columns"]}
    assert (lower["ece"], lower["top1"]) == (True, False)
