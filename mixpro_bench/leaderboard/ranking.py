"""How far an order of methods depends on the seeds that happened to be run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from scipy.stats import rankdata

DRAWS = 2000
EXACT_UP_TO = 6
COVERAGE = 0.95


@dataclass(frozen=True)
class Rank:
    """The place of one method among its rivals, seeds resampled.

    Attributes:
        place: Place by the means as measured, 1 is best; equal means share the better place.
        low: Best place of the central 95 % of resamples.
        high: Worst place of them.
        best: Share of the resamples in which it is first; a shared first place counts in equal parts.
    """

    place: int
    low: int
    high: int
    best: float


def rank_stability(rivals: Sequence[Mapping[Hashable, float]], seed: int = 0) -> list[Rank]:
    """Resample the seeds with replacement and see who comes where.

    Rivals with the same seeds are resampled together, as they were run; for up to 6 seeds all resamples are counted
    out, beyond that, and for rivals of different seeds (each resampled for itself), 2000 are drawn.

    Args:
        rivals: Value by unit of each rival; more is better, and each has a unit at least.
        seed: Of the draws.
    """
    names = list(rivals[0])
    if all(set(rival) == set(names) for rival in rivals):
        values = np.array([[rival[name] for name in names] for rival in rivals])
        resamples, weights = _exact(len(names)) if len(names) <= EXACT_UP_TO else _drawn(len(names), seed)
        means = resamples @ values.T / len(names)
    else:
        # Each rival its own stream, so that one more rival changes nothing for the others.
        own = [np.array(list(rival.values())) for rival in rivals]
        draws = [_drawn(len(one), seed + number)[0] @ one / len(one) for number, one in enumerate(own)]
        means, weights = np.stack(draws, axis=1), np.full(DRAWS, 1 / DRAWS)
    # Rounded, because sums in another order must not break a tie.
    places = rankdata(-np.round(means, 9), method="min", axis=1)
    first = places == 1
    best = np.minimum(weights @ (first / first.sum(axis=1, keepdims=True)), 1.0)
    measured = rankdata([-round(float(np.mean(list(rival.values()))), 9) for rival in rivals], method="min")
    tail = (1 - COVERAGE) / 2
    ends = [[_quantile(column, weights, q) for q in (tail, 1 - tail)] for column in places.T]
    return [Rank(int(measured[k]), low, high, float(best[k])) for k, (low, high) in enumerate(ends)]


def _exact(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how often each of ``n`` seeds is in each possible resample ``(M, n)``, and its probability ``(M,)``."""
    counts, weights = [], []
    for resample in combinations_with_replacement(range(n), n):
        times = Counter(resample)
        counts.append([times[k] for k in range(n)])
        weights.append(math.factorial(n) / math.prod(math.factorial(c) for c in times.values()) / n**n)
    return np.array(counts, dtype=np.float64), np.array(weights)


def _drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=DRAWS).astype(np.float64)
    return counts, np.full(DRAWS, 1 / DRAWS)


def _quantile(places: np.ndarray, weights: np.ndarray, q: float) -> int:
    order = np.argsort(places, kind="stable")
    # A hair of slack: weights that should sum to q exactly do so only up to rounding.
    at = int(np.searchsorted(np.cumsum(weights[order]), q - 1e-12))
    return int(places[order[min(at, len(order) - 1)]])
