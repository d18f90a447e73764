"""Intervals, paired tests, Holm and power against hand-made cases and against paths that the code does not take."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations, product

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from mixpro_bench.leaderboard.comparison import Gain, compare, correct, detectable_effect
from mixpro_bench.leaderboard.ranking import rank_stability
from mixpro_bench.leaderboard.statistics import summarize

TOLERANCE = {"rel": 1e-9, "abs": 1e-9}


def test_interval_by_hand():
    # Of three values 1, 2, 3: mean 2, sd 1; the 97.5 % point of t with 2 degrees of freedom has a closed form.
    summary = summarize(enumerate([1.0, 2.0, 3.0]))
    quantile = 0.95 * math.sqrt(2 / (1 - 0.95**2))
    assert summary.high - 2 == pytest.approx(quantile / math.sqrt(3), **TOLERANCE)
    assert 2 - summary.low == pytest.approx(quantile / math.sqrt(3), **TOLERANCE)
    # Of two values the degree of freedom is one: Cauchy's distribution.
    summary = summarize(enumerate([4.0, 6.0]))
    assert summary.high - 5 == pytest.approx(math.tan(math.pi * 0.475), **TOLERANCE)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=12))
def test_interval_against_statsmodels(values):
    from statsmodels.stats.weightstats import DescrStatsW

    summary = summarize(enumerate(values))
    low, high = DescrStatsW(values).tconfint_mean(alpha=0.05)
    assert (summary.low, summary.high) == (pytest.approx(low, **TOLERANCE), pytest.approx(high, **TOLERANCE))


def test_paired_comparison_by_hand():
    # Differences 1, 2, 3: effect 2, t = 2 sqrt(3); with 2 degrees of freedom p = 1 - t / sqrt(2 + t^2).
    gain = compare({0: 11.0, 1: 22.0, 2: 33.0, 7: 99.0}, {2: 30.0, 1: 20.0, 0: 10.0, 8: 0.0})
    t = 2 * math.sqrt(3)
    assert (gain.effect, gain.n) == (2.0, 3)
    assert gain.p == pytest.approx(1 - t / math.sqrt(2 + t * t), **TOLERANCE)
    quantile = 0.95 * math.sqrt(2 / (1 - 0.95**2))
    assert gain.low == pytest.approx(2 - quantile / math.sqrt(3), **TOLERANCE)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=2, max_size=10))
def test_paired_comparison_against_scipy_and_mpmath(pairs):
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    assume(np.std(a - b) > 1e-6)
    gain = compare(dict(enumerate(a)), dict(enumerate(b)))
    reference = stats.ttest_rel(a, b)
    interval = reference.confidence_interval(0.95)
    assert gain.p == pytest.approx(reference.pvalue, **TOLERANCE)
    assert (gain.low, gain.high) == (
        pytest.approx(interval.low, **TOLERANCE),
        pytest.approx(interval.high, **TOLERANCE),
    )
    df = len(pairs) - 1
    x = df / (df + mpmath.mpf(float(reference.statistic)) ** 2)
    assert gain.p == pytest.approx(float(mpmath.betainc(df / 2, 0.5, 0, x, regularized=True)), **TOLERANCE)


def test_what_cannot_be_tested_says_nothing():
    assert compare({0: 1.0}, {1: 1.0}) is None
    assert compare({0: 3.0}, {0: 1.0}) == Gain(2.0, 1)
    same = compare({0: 80.1, 1: 80.2, 2: 80.4}, {0: 80.0, 1: 80.1, 2: 80.3})
    assert same.effect == pytest.approx(0.1)
    assert same.p is None


def test_holm_by_hand():
    gains = [Gain(1, 3, p=p) for p in (0.01, 0.04, 0.03, 0.005)]
    assert [gain.p for gain in correct(gains)] == pytest.approx([0.03, 0.06, 0.06, 0.02], **TOLERANCE)
    assert [gain.p for gain in correct([Gain(1, 1), Gain(1, 3, p=0.04)])] == [None, 0.04]
    assert correct([Gain(1, 1)]) == [Gain(1, 1)]


# As pingouin 0.7.0 corrected them, which has a code of its own.
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.012, 0.0004, 0.2, 0.047, 0.0121, 0.6, 0.03], [0.072, 0.0028, 0.4, 0.141, 0.072, 0.6, 0.12]),
        ([0.9, 0.8, 0.7], [1.0, 1.0, 1.0]),
        ([1e-12, 0.001, 0.001, 0.04999, 0.5], [5e-12, 0.004, 0.004, 0.09998, 0.5]),
    ],
)
def test_holm_against_recorded_numbers(values, expected):
    assert [gain.p for gain in correct([Gain(0, 2, p=p) for p in values])] == pytest.approx(expected, rel=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_holm_as_the_closure_of_bonferroni(values):
    # A hypothesis falls when every set of hypotheses with it falls by Bonferroni: the largest p of all those sets.
    def of_set(places):
        return min(Fraction(1), len(places) * min(Fraction(values[place]) for place in places))

    everyone = range(len(values))
    sets = [places for size in everyone for places in combinations(everyone, size + 1)]
    expected = [float(max(of_set(places) for places in sets if one in places)) for one in everyone]
    found = [gain.p for gain in correct([Gain(0, 2, p=p) for p in values])]
    assert found == pytest.approx(expected, **TOLERANCE)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 10, 30])
def test_the_smallest_effect_against_the_integral(n):
    # Power written out: a normal variable over a chi of n - 1 degrees of freedom, integrated over the chi.
    effect, df = detectable_effect(n), n - 1
    critical = stats.t.isf(0.025, df)

    def power_given(s):
        shift, edge = mpmath.mpf(effect) * mpmath.sqrt(n), critical * s / mpmath.sqrt(df)
        density = 2 ** (1 - mpmath.mpf(df) / 2) / mpmath.gamma(mpmath.mpf(df) / 2) * s ** (df - 1)
        return (mpmath.ncdf(shift - edge) + mpmath.ncdf(-shift - edge)) * density * mpmath.exp(-s * s / 2)

    points = [0, 0.1, 0.5, 1, 2, 4, 8, 16, 30]
    assert float(mpmath.quad(power_given, points)) == pytest.approx(0.8, abs=1e-9)
    if n < 30:
        from statsmodels.stats.power import ttest_power

        assert ttest_power(effect, n, 0.05) == pytest.approx(0.8, abs=1e-9)


def test_rank_stability_against_every_resample():
    rivals = [{0: 3.0, 1: 5.0, 2: 4.0}, {0: 3.5, 1: 4.0, 2: 4.0}, {2: 1.0, 1: 1.0, 0: 9.0}]
    wins = np.zeros(3)
    places = [[], [], []]
    for seeds in product(range(3), repeat=3):
        sums = [sum(rival[seed] for seed in seeds) for rival in rivals]
        top = [k for k, value in enumerate(sums) if value == max(sums)]
        wins[top] += 1 / len(top) / 27
        for k, value in enumerate(sums):
            places[k].append(1 + sum(other > value for other in sums))
    ranks = rank_stability(rivals)
    assert [rank.best for rank in ranks] == pytest.approx(list(wins), **TOLERANCE)
    assert [rank.place for rank in ranks] == [1, 2, 3]
    for rank, seen in zip(ranks, places, strict=True):
        assert (rank.low, rank.high) == (sorted(seen)[0], sorted(seen)[26])


def test_rank_stability_of_many_and_of_different_seeds():
    better = {seed: 10.0 + seed % 2 for seed in range(9)}
    worse = {seed: 9.5 + seed % 2 for seed in range(9)}
    first, second = rank_stability([better, worse])
    assert first.best == pytest.approx(1.0)
    assert (first.low, first.high, second.low) == (1, 1, 2)
    alone, other = rank_stability([better, {90: 9.6, 91: 11.2}])
    assert 0 < alone.best < 1
    assert alone.best + other.best == pytest.approx(1)
    assert rank_stability([better, {90: 9.6, 91: 11.2}]) == [alone, other]
