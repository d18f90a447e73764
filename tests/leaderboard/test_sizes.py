"""Parameter and FLOP classes: what is of one class, and that rows of different ones are not ranked together."""

from __future__ import annotations

import pytest

from mixpro_bench.leaderboard.latex import to_latex
from mixpro_bench.leaderboard.sizes import Sizes, rank_of, size_class
from mixpro_bench.leaderboard.table import build_tables

# Parameters in millions and GMACs as TL-Align's README lists them, and the formula's for DeiT-T.
FAMILIES = {
    "tiny": [(5.7, 1.25)],
    "small": [(22.0, 4.6), (29.0, 4.5)],
    "base": [(86.0, 17.5), (88.0, 15.4), (50.0, 8.8)],
}


def of(million, billion):
    return {"parameters": round(million * 1e6), "macs": billion * 1e9}


def test_families_fall_into_classes_of_their_own():
    classes = {name: {size_class(p * 1e6, m * 1e9) for p, m in sizes} for name, sizes in FAMILIES.items()}
    assert all(len(found) == 1 for found in classes.values())
    assert len(set.union(*classes.values())) == 3


@pytest.mark.parametrize(
    ("parameters", "macs", "name"),
    [
        (2.5e6, None, "2.5-10 M params"),
        (2.49e6, None, "under 2.5 M params"),
        (None, 32e9, "over 32 GMACs"),
        (159e6, 31e9, "40-160 M params, 8-32 GMACs"),
        (None, None, ""),
    ],
)
def test_bounds(parameters, macs, name):
    assert size_class(parameters, macs) == name


def test_classes_are_ordered_by_size():
    names = [size_class(million * 1e6, None) for million in (1, 5, 20, 80, 300)] + [""]
    assert sorted(reversed(names), key=rank_of) == names


def test_rows_of_one_backbone_name_but_another_size_are_apart(make):
    # Large nets are better in everything; each is the best of its class, and only compared within it.
    records = [
        make(method=method, seed=seed, model=of(*size), metrics={"top1": top + seed}, recipe_hash="r",
             provenance={"checkpoint_sha256": f"{method}{seed}{size}"})
        for size, base in (((22, 4.6), 80.0), ((300, 60.0), 90.0))
        for method, top in (("mixpro", base + 1), ("none", base))
        for seed in (0, 1)
    ]  # fmt: skip
    (table,) = build_tables(records, baseline="none")
    assert [(row.size[:2], row.method) for row in table.rows] == [
        ("10", "mixpro"), ("10", "none"), ("ov", "mixpro"), ("ov", "none")
    ]  # fmt: skip
    assert [row.rank.place for row in table.rows] == [1, 2, 1, 2]
    assert [row.gains["top1"].effect if row.gains else None for row in table.rows] == [1.0, None, 1.0, None]
    text = to_latex([table])
    assert text.count("\\textbf") == 2
    assert text.count("\\midrule") == 2


def test_a_head_that_a_method_brings_is_no_other_size(make):
    # 9.9 and 10.1 million: on two sides of a bound, but one model.
    records = [make(method="none", model=of(9.9, 1.9)), make(method="smmix", model=of(10.1, 1.9))]
    sizes = Sizes(records, {})
    assert sizes.of(records[0]) == sizes.of(records[1]) == "2.5-10 M params, 0.5-2 GMACs"


def test_a_transfer_is_as_large_as_its_pretraining(make, chain):
    records = chain("mixpro")
    records[0].model = of(22, 4.6)
    records[1].model = of(45, 180.0)  # a detector, heads and all, on large images
    (table,) = build_tables([*records, make("det", "scratch")], baseline="scratch")
    assert {row.size for row in table.rows} == {"10-40 M params, 2-8 GMACs"}
    assert {row.method: len(row.records) for row in table.rows} == {"mixpro": 3, "scratch": 1}
    assert next(row for row in table.rows if row.method == "mixpro").gains["box_ap"].n == 1


def test_runs_of_different_sizes_in_a_row_are_marked(make):
    (table,) = build_tables([make(model=of(22, 4.6)), make(seed=1, model=of(23, 4.6))])
    assert table.rows[0].marks == ("mixed sizes",)
