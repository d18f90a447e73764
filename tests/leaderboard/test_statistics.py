"""Statistics against a slow reference in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpro_bench.leaderboard.statistics import summarize, unit_of

runs = st.lists(st.tuples(st.integers(0, 4), st.floats(-1e3, 1e3)), min_size=1, max_size=30)


@given(runs)
def test_agrees_with_exact_arithmetic(values):
    units = sorted({unit for unit, _ in values})
    means = []
    for unit in units:
        own = [Fraction(value) for other, value in values if other == unit]
        means.append(sum(own) / len(own))
    mean = sum(means) / len(means)
    summary = summarize(values)
    assert summary.n == len(units)
    assert summary.runs == len(values)
    assert summary.mean == pytest.approx(float(mean), rel=1e-9, abs=1e-9)
    if len(units) == 1:
        assert summary.sd is None
    else:
        variance = sum((one - mean) ** 2 for one in means) / (len(means) - 1)
        assert summary.sd == pytest.approx(sqrt(variance), rel=1e-9, abs=1e-9)


@given(runs, st.randoms())
def test_the_order_of_runs_does_not_matter(values, random):
    shuffled = list(values)
    random.shuffle(shuffled)
    one, other = summarize(values), summarize(shuffled)
    assert one.mean == pytest.approx(other.mean, rel=1e-12, abs=1e-9)
    assert (one.n, one.runs) == (other.n, other.runs)


def test_by_hand():
    # Seed 0 gave 60 and 62 (two transfers of one pretraining), seed 1 gave 65: means 61 and 65.
    summary = summarize([(0, 60.0), (0, 62.0), (1, 65.0)])
    assert (summary.mean, summary.n, summary.runs) == (63.0, 2, 3)
    assert summary.sd == pytest.approx(sqrt(8.0))


def test_one_seed_has_no_spread_however_often_it_was_transferred():
    assert summarize([(0, 60.0), (0, 70.0)]).sd is None
    assert summarize([]) is None


def test_the_unit_is_the_pretraining(make):
    assert unit_of(make("det", seed=3)) == unit_of(make("det", seed=7, pretrain_seed=3))
    assert unit_of(make("det", seed=3)) != unit_of(make("det", seed=4))
    foreign = make("det", pretrain_seed=None, provenance={"upstream_sha256": "abc"})
    assert unit_of(foreign) == unit_of(foreign.model_copy(update={"seed": 5}))
    assert unit_of(make("det", "scratch", seed=1)) != unit_of(make("det", "scratch", seed=2))
