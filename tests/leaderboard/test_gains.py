"""Gains over the baseline, ranks and what the outputs say of them."""

from __future__ import annotations

import csv
import io

import pytest

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.comparison import compare
from mixpro_bench.leaderboard.json_view import to_json
from mixpro_bench.leaderboard.table import build_tables, format_cell
from mixpro_bench.leaderboard.write import to_csv, to_markdown

TOP1 = {"cutmix": (80.0, 80.4, 80.2), "mixpro": (81.1, 81.4, 81.3), "mixup": (80.1, 80.2, 80.4)}
MIOU = {"cutmix": (40.0, 41.0, 40.5), "mixpro": (40.2, 40.9, 41.0), "mixup": (39.0, 39.1, 38.0)}


@pytest.fixture
def records(make):
    made = []
    for method in TOP1:
        for seed in range(3):
            made.append(make("pretrain", method, seed, metrics={"top1": TOP1[method][seed]}))
            made.append(make("seg", method, seed, metrics={"mIoU": MIOU[method][seed]}))
    return made


def by_method(table):
    return {row.method: row for row in table.rows}


def test_gains_are_paired_and_corrected_over_the_table(records):
    (table,) = build_tables(records, baseline="cutmix")
    rows = by_method(table)
    assert table.baseline == "cutmix"
    assert rows["cutmix"].gains == {}
    raw = {
        (method, key): compare(dict(enumerate(values[method])), dict(enumerate(values["cutmix"])))
        for method in ("mixpro", "mixup")
        for key, values in (("top1", TOP1), ("miou", MIOU))
    }
    ordered = sorted(raw, key=lambda at: raw[at].p)
    assert len(ordered) == 4
    largest = 0.0
    for place, (method, key) in enumerate(ordered):
        largest = max(largest, min(1.0, raw[method, key].p * (4 - place)))
        gain = rows[method].gains[key]
        assert gain.effect == pytest.approx(raw[method, key].effect, rel=1e-9)
        assert gain.p == pytest.approx(largest, rel=1e-9)
    assert rows["mixpro"].texts["transfer"] == "top-1 +1.1 better -> mIoU +0.2 open"
    assert rows["cutmix"].texts["transfer"] == "baseline"


def test_every_output_has_the_gains(records):
    tables = build_tables(records, baseline="cutmix")
    text = to_markdown(tables)
    assert "Δ top-1" in text
    assert "+1.1 [+0.9, +1.2] p=" in text
    assert "Δ: mean difference to cutmix over common seeds" in text
    assert "smallest gain in mIoU that so many seeds show with power 0.8:" in text
    line = next(row for row in csv.DictReader(io.StringIO(to_csv(tables))) if row["method"] == "mixpro")
    gain = by_method(tables[0])["mixpro"].gains["top1"]
    assert float(line["top1_gain"]) == gain.effect
    assert float(line["top1_gain_p"]) == gain.p
    document = to_json(tables, records)["tables"][0]
    cell = next(row for row in document["rows"] if row["method"] == "mixpro")["cells"]["top1"]
    assert (cell["gain"], cell["gain_low"], cell["p"]) == (gain.effect, gain.low, gain.p)
    assert all(column["kind"] != "gain" for column in document["columns"])


def test_one_common_seed_gives_an_effect_and_no_more(make):
    (table,) = build_tables([make(), make(method="cutmix", metrics={"top1": 88.0})], baseline="cutmix")
    row = by_method(table)["mixpro"]
    assert (row.gains["top1"].effect, row.gains["top1"].p, row.gains["top1"].low) == (2.0, None, None)
    column = next(column for column in table.columns if column.kind == "gain")
    assert format_cell(row, column) == "+2.0 (n=1)"
    assert row.texts["transfer"] == "top-1 +2.0 open -> not measured"
    assert row.rank is None


def test_scratch_can_be_the_baseline(make):
    records = [make("det", method, seed) for method in ("scratch", "mixpro") for seed in (0, 1)]
    (table,) = build_tables([*records, make(), make(seed=1)], baseline="scratch")
    assert by_method(table)["mixpro"].gains["box_ap"].n == 2


def test_each_backbone_has_its_own_baseline(make):
    other = make(method="mixpro", backbone="swin", metrics={"top1": 50.0})
    (table,) = build_tables([make(), make(method="cutmix"), other], baseline="cutmix")
    gains = {row.backbone: row.gains for row in table.rows if row.method == "mixpro"}
    assert set(gains["vit"]) == {"top1"}
    assert gains["swin"] == {}


def test_a_baseline_that_is_none_is_refused(make):
    with pytest.raises(UserError, match=r"no row is called 'none': .* cutmix, mixpro"):
        build_tables([make(), make(method="cutmix")], baseline="none")
    presets = [make(), make()]
    for record, preset in zip(presets, "ab", strict=True):
        record.method.preset = preset
    with pytest.raises(UserError, match=r"not clear for vit: name one of mixpro \(a\), mixpro \(b\)"):
        build_tables(presets, baseline="mixpro")
    for name in ("a", "mixpro (a)"):
        assert build_tables(presets, baseline=name)[0].baseline == name


def test_ranks_are_those_of_resampled_seeds(records):
    (table,) = build_tables(records)
    rows = by_method(table)
    assert rows["mixup"].texts["rank"] == "3"
    assert rows["mixpro"].texts["rank"] == "1 (1-2)"
    assert sum(row.rank.best for row in table.rows) == pytest.approx(1)
    assert any("95 % of resamples" in note for note in table.notes)


def test_what_is_better_upstream_need_not_be_downstream(make):
    # Against 'none': a and b are clearly better upstream; a is clearly better downstream, b is clearly worse.
    tops = {"none": 80.0, "a": 85.0, "b": 83.0, "c": 80.01, "d": 79.0}
    mious = {"none": 40.0, "a": 45.0, "b": 35.0, "c": 40.02, "d": 39.99}
    wobble = {"none": (0.0, 0.01, 0.02), "a": (0.01, 0.0, 0.03), "b": (0.0, 0.02, 0.01), "c": (0.05, 0.0, -0.1),
              "d": (0.3, -0.4, 0.1)}  # fmt: skip
    made = []
    for method in tops:
        for seed, extra in enumerate(wobble[method]):
            made.append(make("pretrain", method, seed, metrics={"top1": tops[method] + extra}))
            made.append(make("seg", method, seed, metrics={"mIoU": mious[method] + extra}))
    (table,) = build_tables(made, baseline="none")
    (note,) = [note for note in table.notes if note.startswith("does it transfer")]
    # Of the six pairs of a, b, c, d five have one order in both gains but b, which is second above and last below.
    tau = kendall([5.0, 3.0, 0.01, -1.0], [5.0, -5.0, 0.02, -0.01])
    assert note == (
        "does it transfer: 2 of 4 rows better in top-1, of these in mIoU 1 better, 1 worse, 0 open; "
        f"Kendall's tau of the two gains is {tau:+.2f} over 4 rows"
    )
    (table,) = build_tables([one for one in made if one.method.name in ("none", "d")], baseline="none")
    assert "does it transfer: none of 1 rows better in top-1, so mIoU answers nothing" in table.notes


def kendall(xs, ys):
    pairs = [(a, b) for a in range(len(xs)) for b in range(a)]
    return sum(1 if (xs[a] - xs[b]) * (ys[a] - ys[b]) > 0 else -1 for a, b in pairs) / len(pairs)


def test_runs_that_contradict_each_other_are_marked(make):
    (table,) = build_tables([make(), make(metrics={"top1": 91.0})])
    assert "contradictory" in table.rows[0].marks
    assert table.rows[0].cells["top1"].mean == 90.5


def test_size_of_the_model(make):
    (table,) = build_tables([make(model={"parameters": 5717416, "macs": 1.25e9})])
    cells = {column.title: format_cell(table.rows[0], column) for column in table.columns}
    assert (cells["M params"], cells["GMACs"]) == ("5.7", "1.2")
