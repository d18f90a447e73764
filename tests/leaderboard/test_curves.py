"""Curves of rows: what is drawn of many points, seeds and names, and what it weighs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpro_bench.leaderboard.curves import FEWEST, MOST, STEPS, Curves
from mixpro_bench.leaderboard.table import build_tables


def series(values, axis="epoch", at=None):
    return {"axis": axis, "at": at or list(range(1, len(values) + 1)), "values": values}


def rows_of(records):
    return [row for table in build_tables(records) for row in table.rows]


def only(records, numbers=400_000):
    (row,) = rows_of(records)
    curves = Curves([row], numbers)
    return curves, {(one["stage"], one["name"]): one for one in curves.of(row)}


def values(curves, curve):
    """The numbers of a curve's lines, as the page works them out."""
    span = curve["high"] - curve["low"]
    lines = [[np.nan if one is None else curve["low"] + one / STEPS * span for one in line] for line in curve["lines"]]
    return curves.grids[curve["grid"]], np.array(lines)


def test_each_seed_is_a_line_in_the_unit_of_the_table(make):
    records = [
        make("det", seed=seed, series={"coco/bbox_mAP": series([0.1, 0.2 + 0.01 * seed], "iter", [500, 1000])})
        for seed in range(2)
    ]
    curves, found = only(records)
    curve = found["det", "coco/bbox_mAP"]
    assert (curve["title"], curve["axis"], curve["n"], curve["band"]) == ("box AP", "iter", 2, False)
    grid, lines = values(curves, curve)
    assert grid == [500, 1000]
    np.testing.assert_allclose(lines, [[10, 20], [10, 21]], atol=11 / STEPS)


def test_transfers_of_one_pretraining_are_one_line(make):
    runs = [make("seg", seed=k, pretrain_seed=0, series={"loss": series([float(k), 2.0 * k])}) for k in (1, 3)]
    curves, found = only(runs)
    _, lines = values(curves, found["seg", "loss"])
    np.testing.assert_allclose(lines, [[2, 4]], atol=0.01)
    assert found["seg", "loss"]["n"] == 1


def test_many_seeds_are_a_mean_and_a_span(make):
    ends = [1.0, 2.0, 4.0, 9.0]
    curves, found = only([make(seed=k, series={"loss": series([5.0, end])}) for k, end in enumerate(ends)])
    curve = found["pretrain", "loss"]
    assert (curve["band"], curve["n"]) == (True, 4)
    np.testing.assert_allclose(values(curves, curve)[1], [[5, 4], [5, 1], [5, 9]], atol=0.01)


def test_equal_seeds_are_drawn_once(make):
    _, found = only([make(seed=k, series={"lr": series([1e-3, 1e-4]), "loss": series([1.0, 2.0 + k])}) for k in (0, 1)])
    assert len(found["pretrain", "lr"]["lines"]) == 1
    assert found["pretrain", "lr"]["n"] == 2
    assert len(found["pretrain", "loss"]["lines"]) == 2


def test_what_is_not_known_is_a_gap(make):
    records = [
        make(series={"loss": series([3.0, None, 1.0, 0.5])}),
        make(seed=1, series={"loss": series([3.0, 2.0], at=[2, 3])}),  # a shorter run
        make(seed=2, series={"loss": series([None, None])}),
    ]
    curves, found = only(records)
    grid, lines = values(curves, found["pretrain", "loss"])
    assert grid == [1, 2, 3, 4]
    nan = np.nan
    np.testing.assert_allclose(lines, [[3, nan, 1, 0.5], [nan, 3, 2, nan], [nan] * 4], atol=0.01)


def test_a_line_between_points_where_runs_were_looked_at_elsewhere(make):
    often = make(seed=1, series={"loss": series([1.0, 1.0, 1.0], at=[0, 1, 4])})
    curves, found = only([make(series={"loss": series([4.0, 0.0], at=[0, 4])}), often])
    grid, lines = values(curves, found["pretrain", "loss"])
    assert grid == [0, 1, 4]
    np.testing.assert_allclose(lines, [[4, 3, 0], [1, 1, 1]], atol=0.01)


def test_another_axis_is_not_mixed_in(make):
    curves, found = only([
        make(series={"loss": series([1.0, 2.0], "iter", [10, 20])}), make(seed=1, series={"loss": series([7.0, 8.0])})
    ])  # fmt: skip
    assert values(curves, found["pretrain", "loss"])[0] == [10, 20]
    assert found["pretrain", "loss"]["n"] == 1


def test_nothing_is_drawn_of_nothing(make):
    _, found = only([make(series={"loss": series([None, None]), "lr": series([]), "unheard of": series([1.0])})])
    assert found == {}


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.floats(-1e12, 1e12) | st.none(), min_size=1, max_size=100),
    st.lists(st.floats(-1e12, 1e12) | st.none(), min_size=1, max_size=100),
)
def test_any_values_come_back_to_a_step_of_their_span(make, one, other):
    curves, found = only([make(series={"loss": series(one)}), make(seed=1, series={"loss": series(other)})])
    known = [value for value in (*one, *other) if value is not None]
    if not known or len(one) == len(other) == 1:
        assert found == {}
        return
    grid, lines = values(curves, found["pretrain", "loss"])
    assert len(grid) <= MOST
    step = (max(known) - min(known)) / STEPS + 1e-5 * max(map(abs, known))
    for line, told in zip(lines, (one, other), strict=False):
        for place, value in zip(grid, line, strict=True):
            wanted = told[place - 1] if place <= len(told) else None
            assert np.isnan(value) if wanted is None else abs(value - wanted) <= step


def test_many_rows_keep_fewer_points_and_then_fewer_curves(make):
    names = ("loss", "lr", "top1", "top5")
    records = [
        make(method=f"m{k}", seed=seed, series={name: series([float(seed + p) for p in range(100)]) for name in names})
        for k in range(20)
        for seed in (0, 1)
    ]
    rows = rows_of(records)
    for numbers, kept in ((1e9, 4), (40 * 4 * 20, 4), (40 * 2 * FEWEST, 2), (40 * FEWEST, 1), (1, 1)):
        curves = Curves(rows, int(numbers))
        drawn = [curves.of(row) for row in rows]
        assert {len(one) for one in drawn} == {kept}
        assert {one["name"] for row in drawn for one in row} >= {"top1"}
        points = {len(grid) for grid in curves.grids}
        assert points == {max(FEWEST, min(MOST, int(numbers) // (40 * kept)))}
        total = sum(len(line) for row in drawn for one in row for line in one["lines"])
        assert total <= max(numbers, 40 * FEWEST)


def test_thousands_of_names_change_nothing(make):
    more = {f"metric {k}": series([1.0, 2.0]) for k in range(1000)}
    _, found = only([make(series={**more, "loss": series([1.0, 2.0])})])
    assert list(found) == [("pretrain", "loss")]


@pytest.mark.parametrize("stage", ["pretrain", "det", "seg", "later"])
def test_every_stage_has_its_own(make, stage):
    record = make("pretrain", series={"loss": series([1.0, 2.0])})
    record.stage = stage
    _, found = only([record])
    assert list(found) == [(stage, "loss")]
