"""Methods against a baseline: paired over pretraining seeds, corrected for many comparisons, with what could be seen.

The t distributions, central and not, come from SciPy, Holm's correction from statsmodels.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import fmean

from scipy import special

from mixpro_bench.leaderboard.collector import collector_off
from mixpro_bench.leaderboard.statistics import ALPHA, half_width, spread

POWER = 0.8


@dataclass(frozen=True)
class Gain:
    """A paired difference to a baseline over the units both have.

    Attributes:
        effect: Mean of the differences, row minus baseline.
        n: Number of common units.
        low: Lower end of the 95 % t-interval of the effect, None for a single unit.
        high: Upper end.
        p: Two-sided p-value of the paired t-test; None where it cannot be tested: a single unit, or differences
            without any scatter.
        detectable: Smallest effect that a paired t-test at 5 % would have found with probability 0.8, given as many
            units and differences as scattered as these.
    """

    effect: float
    n: int
    low: float | None = None
    high: float | None = None
    p: float | None = None
    detectable: float | None = None


def compare(units: Mapping[Hashable, float], baseline: Mapping[Hashable, float]) -> Gain | None:
    """Compare a method with a baseline over the units that both have.

    Args:
        units: Value of the method by unit.
        baseline: The same of the baseline.

    Returns:
        The gain with its uncorrected p-value, None without a common unit.
    """
    common = [unit for unit in units if unit in baseline]
    if not common:
        return None
    differences = [units[unit] - baseline[unit] for unit in common]
    effect, n = fmean(differences), len(common)
    if n == 1:
        return Gain(effect, 1)
    sd = spread(differences, effect)
    half = half_width(sd, n)
    # Equal differences leave a spread of a few rounding errors, which is none.
    scale = max(abs(value) for unit in common for value in (units[unit], baseline[unit]))
    p = None
    if sd > 1e-12 * scale:
        p = float(2 * special.stdtr(n - 1, -abs(effect) / (sd / math.sqrt(n))))
    return Gain(effect, n, effect - half, effect + half, p, detectable_effect(n) * sd)


def correct(gains: Sequence[Gain]) -> list[Gain]:
    """Replace the p-values of one family of comparisons by Holm's; a gain without one is no test and not counted."""
    from statsmodels.stats.multitest import multipletests

    corrected = list(gains)
    tested = [place for place, gain in enumerate(gains) if gain.p is not None]
    if tested:
        # statsmodels has the collector go through everything there is after each correction.
        with collector_off():
            values = multipletests([gains[place].p for place in tested], method="holm")[1]
        for place, p in zip(tested, values, strict=True):
            corrected[place] = replace(gains[place], p=float(p))
    return corrected


@cache
def detectable_effect(n: int) -> float:
    """Return the smallest effect, in standard deviations of the differences, that ``n`` pairs show with power 0.8."""
    from scipy.optimize import brentq

    df = n - 1
    critical = float(special.stdtrit(df, 1 - ALPHA / 2))

    def lack(shift: float) -> float:
        # The lower tail as an upper one, and none (below 1e-15) far out: there SciPy's non-central t is NaN.
        lower = 1 - special.nctdtr(df, -shift, critical) if shift < 8 else 0.0
        return float(1 - special.nctdtr(df, shift, critical) + lower) - POWER

    return float(brentq(lack, 0.1, 2 * critical + 2, xtol=1e-12)) / math.sqrt(n)
