"""Does the cheap number predict the dear one? Rank correlation of probes with dense transfer, over rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from scipy import special
from scipy.stats import spearmanr

from mixpro_bench.leaderboard.metrics import METRICS, PARTS, Metric
from mixpro_bench.leaderboard.model import Row
from mixpro_bench.leaderboard.statistics import ALPHA

FEWEST = 4  # rows of which a correlation has an interval
DENSE = ("box_ap", "miou")
# Columns of more detail say much the same as these and would only add chances.
MOST_DETAIL = 1


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of two columns.

    Attributes:
        rho: From -1 to 1.
        low: Lower end of the 95 % interval.
        high: Upper end.
        n: Rows behind it.
    """

    rho: float
    low: float
    high: float
    n: int


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> Correlation | None:
    """Return Spearman's rank correlation with its interval, None of too few pairs or where all of one side are equal.

    The interval is Fisher's with the variance of Bonett and Wright (Psychometrika 65, 2000): (1 + rho^2 / 2) / (n - 3)
    for the transformed rho. A perfect order has no transform and is taken half a step, of 12 / (n^3 - n), less.

    Args:
        x: Values of one column.
        y: Values of the other, row by row.
    """
    n = len(x)
    if n < FEWEST or len(set(x)) == 1 or len(set(y)) == 1:
        return None
    rho = float(spearmanr(x, y).statistic)
    most = 1 - 6 / (n**3 - n)
    middle = math.atanh(max(-most, min(most, rho)))
    half = float(special.ndtri(1 - ALPHA / 2)) * math.sqrt((1 + rho**2 / 2) / (n - 3))
    low, high = math.tanh(middle - half), math.tanh(middle + half)
    return Correlation(rho, min(low, rho), max(high, rho), n)


def predictors() -> list[Metric]:
    """Return the columns that are cheap to have: top-1 of the pretraining, and the main ones of the parts."""
    cheap = [
        m for m in METRICS if m.stage in PARTS and m.detail <= MOST_DETAIL and not m.stage.endswith("-corruptions")
    ]
    return [m for m in METRICS if m.key == "top1"] + cheap


def correlation_notes(rows: Sequence[Row]) -> Iterator[str]:
    """Say how well each cheap column orders the rows of a group as dense transfer does; a sentence for each task.

    Columns where less is better count the other way round, so that +1 is always the same order of merit. Top-1 alone
    is no reason to speak: the gains say that.
    """
    for group, members in groupby(sorted(rows, key=lambda row: row.group), key=lambda row: row.group):
        here = list(members)
        for dense in (m for m in METRICS if m.key in DENSE):
            found: dict[str, Correlation] = {}
            for cheap in predictors():
                both = [row for row in here if dense.key in row.cells and cheap.key in row.cells]
                sign = -1 if cheap.lower else 1
                x, y = ([row.cells[key].mean for row in both] for key in (cheap.key, dense.key))
                one = rank_correlation([sign * value for value in x], y)
                if one is not None:
                    found[cheap.title] = one
            if set(found) - {"top-1"}:
                said = (f"{t} {c.rho:+.2f} [{c.low:+.2f}, {c.high:+.2f}] (n={c.n})" for t, c in found.items())
                where = f" on {group[1]}" if len({row.group for row in rows}) > 1 else ""
                yield (
                    f"what predicts {dense.title}{where}: Spearman's rho over rows [95 % interval], best first is +1: "
                    f"{', '.join(said)}"
                )
