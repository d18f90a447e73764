"""Curves and validations: against a slow reference, and stopped anywhere."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpro_bench.hooks.history import MAIN_METRIC, Curve, History
from mixpro_bench.leaderboard.series import MAX_POINTS, Series

numbers = st.floats(allow_nan=True, allow_infinity=True, width=32)
# How far apart the iterations are that tell a value: a branch of the policy does not run in each of them.
steps = st.lists(st.tuples(st.integers(1, 4), numbers), min_size=1, max_size=400)


def told(gaps):
    places = np.cumsum([gap for gap, _ in gaps]).tolist()
    return list(zip(places, [value for _, value in gaps], strict=True))


def reference(values):
    """The curve by its definition: the narrowest power of two that needs no more than 100 spans."""
    width = 1
    while (values[-1][0] - 1) // width >= MAX_POINTS:
        width *= 2
    spans = {}
    for at, value in values:
        spans.setdefault((at - 1) // width, []).append((at, value))
    points = []
    for span in spans.values():
        finite = [value for _, value in span if math.isfinite(value)]
        points.append((span[-1][0], math.fsum(finite) / len(finite) if finite else None))
    return points


@given(steps)
def test_a_curve_is_the_mean_of_each_span(gaps):
    values = told(gaps)
    curve = Curve()
    for at, value in values:
        curve.add(at, value)
    series = Series(**curve.series())
    expected = reference(values)
    assert series.at == [at for at, _ in expected]
    for found, (_, wanted) in zip(series.values, expected, strict=True):
        assert found == (None if wanted is None else pytest.approx(wanted, rel=1e-5, abs=1e-3 * abs(wanted) + 1e-30))


@given(steps, st.integers(0, 400))
def test_a_curve_that_went_through_a_checkpoint_is_the_same_bit_for_bit(gaps, stop):
    values = told(gaps)
    whole, first = Curve(), Curve()
    for at, value in values:
        whole.add(at, value)
    for at, value in values[:stop]:
        first.add(at, value)
    second = Curve(json.loads(json.dumps(first.state())))
    for at, value in values[stop:]:
        second.add(at, value)
    assert second.state() == whole.state()


def test_a_long_run_needs_no_more_room():
    curve = Curve()
    for at in range(1, 30_001):
        curve.add(at, 1 / at)
    series = curve.series()
    assert len(series["at"]) <= MAX_POINTS
    assert len(series["at"]) > MAX_POINTS // 2
    assert series["at"][-1] == 30_000
    assert len(curve.state()["spans"]) == len(series["at"])


def test_only_some_scalars_have_a_curve_and_each_its_name():
    history = History()
    history.read("loss", [1, 2], [2.0, 1.0])
    history.read("mix/factor", [2], [0.25])
    history.read("mix/lam", [1, 2], [0.5, 0.5])
    series = history.series()
    assert set(series) == {"loss", "factor"}
    assert series["factor"] == {"axis": "iter", "at": [2], "values": [0.25]}


def test_validations_are_counted_in_epochs_where_there_are_any_and_none_comes_twice():
    history = History()
    history.validated(10, 1, {"top1": 50.0, "top5": 80.0})
    history.validated(20, 2, {"top1": None, "top5": 81.0})
    history.validated(20, 2, {"top1": 52.0, "top5": 82.0})
    assert history.series()["top1"] == {"axis": "epoch", "at": [1, 2], "values": [50.0, 52.0]}
    steps = History()
    steps.validated(10, None, {"mIoU": None})
    assert steps.series() == {"mIoU": {"axis": "iter", "at": [10], "values": [None]}}
    assert steps.best("seg") is None


def test_many_validations_are_thinned_evenly():
    history = History()
    for epoch in range(1, 301):
        history.validated(epoch * 7, epoch, {"top1": float(epoch)})
    series = Series(**history.series()["top1"])
    assert len(series.at) == MAX_POINTS
    assert (series.at[0], series.at[-1]) == (1, 300)
    assert set(np.diff(series.at)) == {3, 4}
    assert series.values == [float(at) for at in series.at]


def test_the_best_validation_is_the_first_with_the_highest_main_metric():
    assert MAIN_METRIC == {"pretrain": "top1", "det": "coco/bbox_mAP", "seg": "mIoU"}
    history = History()
    for epoch, value in enumerate([0.1, 0.4, None, 0.4, 0.3], start=1):
        history.validated(epoch * 5, epoch, {"coco/bbox_mAP": value, "coco/segm_mAP": 0.01 * epoch})
    best = history.best("det")
    assert best == {
        "metric": "coco/bbox_mAP",
        "value": 0.4,
        "at": 2,
        "axis": "epoch",
        "metrics": {"coco/bbox_mAP": 0.4, "coco/segm_mAP": 0.02},
    }
    assert history.best("seg") is None
    assert history.best("another") is None
