"""Mean and spread over pretraining seeds.

The unit is the pretraining: several transfer runs from one pretrained model say how noisy the transfer is, not how
noisy the method is, so they are averaged before anything is counted.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from scipy import stats

from mixpro_bench.leaderboard.record import Record

ALPHA = 0.05
POWER = 0.8


@dataclass(frozen=True)
class Summary:
    """What is known of one quantity.

    Attributes:
        mean: Mean over units.
        sd: Sample standard deviation over units (``ddof=1``), None for a single unit.
        n: Number of units.
        runs: Number of runs behind them.
        low: Lower end of the 95 % t-interval of the mean, None for a single unit.
        high: Upper end.
        units: Mean of each unit, by what identifies it.
    """

    mean: float
    sd: float | None
    n: int
    runs: int
    low: float | None = None
    high: float | None = None
    units: Mapping[Hashable, float] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Gain:
    """A paired difference to a baseline over the units both have.

    Attributes:
        effect: Mean of the differences, row minus baseline.
        n: Number of common units.
        low: Lower end of the 95 % t-interval of the effect, None for a single unit.
        high: Upper end.
        p: Two-sided p-value of the paired t-test, corrected for the number of comparisons by Holm's method.
        detectable: Smallest effect that a paired t-test at 5 % would have found with probability 0.8, given as many
            units and differences as scattered as these.
    """

    effect: float
    n: int
    low: float | None = None
    high: float | None = None
    p: float | None = None
    detectable: float | None = None


def unit_of(record: Record) -> Hashable:
    """Return what identifies the pretraining behind a Record.

    That is its seed; for weights without a known seed the checkpoint's hash; for a run from scratch, where no
    pretraining is shared, the run's own seed.
    """
    if record.pretrain_seed is not None:
        return ("pretrain_seed", record.pretrain_seed)
    if record.provenance.upstream_sha256 is not None:
        return ("checkpoint", record.provenance.upstream_sha256)
    return ("seed", record.seed)


def summarize(values: Iterable[tuple[Hashable, float]]) -> Summary | None:
    """Average the values of each unit, then describe the units.

    Args:
        values: Unit and value of each run.

    Returns:
        The summary, or None if there is no value.
    """
    units: dict[Hashable, list[float]] = {}
    for unit, value in values:
        units.setdefault(unit, []).append(float(value))
    if not units:
        return None
    by_unit = {unit: float(np.mean(runs)) for unit, runs in units.items()}
    means = np.array(list(by_unit.values()))
    mean, runs = float(np.mean(means)), sum(map(len, units.values()))
    if len(means) == 1:
        return Summary(mean, None, 1, runs, units=by_unit)
    sd = float(np.std(means, ddof=1))
    half = _half_width(sd, len(means))
    return Summary(mean, sd, len(means), runs, mean - half, mean + half, by_unit)


def _half_width(sd: float, n: int) -> float:
    """Return half the 95 % t-interval of a mean of ``n`` values."""
    return _t_quantile(n - 1) * sd / math.sqrt(n)


@cache
def _t_quantile(df: int) -> float:
    return float(stats.t.ppf(1 - ALPHA / 2, df))
