"""Mean and spread over pretraining seeds.

The unit is the pretraining: several transfer runs from one pretrained model say how noisy the transfer is, not how
noisy the method is, so they are averaged before anything is counted.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from statistics import fmean

from scipy import special

from mixpro_bench.leaderboard.record import Record

ALPHA = 0.05


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
    by_unit = {unit: fmean(runs) for unit, runs in units.items()}
    mean, runs = fmean(by_unit.values()), sum(map(len, units.values()))
    if len(by_unit) == 1:
        return Summary(mean, None, 1, runs, units=by_unit)
    sd = spread(by_unit.values(), mean)
    half = half_width(sd, len(by_unit))
    return Summary(mean, sd, len(by_unit), runs, mean - half, mean + half, by_unit)


def spread(values: Collection[float], mean: float) -> float:
    """Return the sample standard deviation of two values or more, given their mean."""
    # For a handful of numbers this is ten times as fast as numpy, and there are tens of thousands of handfuls.
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def half_width(sd: float, n: int) -> float:
    """Return half the 95 % t-interval of the mean of ``n`` values with standard deviation ``sd``."""
    return _t_quantile(n - 1) * sd / math.sqrt(n)


@cache
def _t_quantile(df: int) -> float:
    return float(special.stdtrit(df, 1 - ALPHA / 2))
