"""The curves of rows as the page draws them: one line per pretraining seed, few points, small numbers.

Ten thousand Records hold millions of points, and the page may weigh a few megabytes: how many points a line keeps, and
whether curves of less interest are kept at all, follows from how many there are.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np

from mixpro_bench.leaderboard.columns import stage_rank
from mixpro_bench.leaderboard.metrics import METRICS, RANKING
from mixpro_bench.leaderboard.model import Row
from mixpro_bench.leaderboard.record import Record
from mixpro_bench.leaderboard.series import Series, thinned
from mixpro_bench.leaderboard.statistics import unit_of

NUMBERS = 400_000  # of all curves together
FEWEST, MOST = 12, 100  # points of a line
LINES = 3  # seeds that have a line each; more are their mean and their span
STEPS = 999  # a value is one of so many steps from the lowest to the highest of its curve

# Name -> title, factor to what is shown, and interest: of too many curves those of the highest number go first.
_TITLES = {
    "factor": ("progressive factor", 1.0, 0),
    "loss": ("loss", 1.0, 1),
    "lr": ("learning rate", 1.0, 2),
} | {m.raw: (m.title, m.scale, 0 if m.key in RANKING else 3) for m in METRICS}

Runs = dict[Hashable, list[Series]]


class Curves:
    """The curves of some rows.

    Args:
        rows: All rows of the page.
        numbers: How many numbers the curves may take together, roughly.
    """

    def __init__(self, rows: Sequence[Row], numbers: int = NUMBERS) -> None:
        self.grids: list[list[int]] = []
        self._places: dict[tuple[int, ...], int] = {}
        counts: dict[int, int] = {}
        for row in rows:
            for _, name, runs in _curves(row):
                interest = _TITLES[name][2]
                counts[interest] = counts.get(interest, 0) + min(LINES, len(runs))
        self._least, lines = 0, counts.get(0, 0)
        for interest in sorted(counts):
            if interest and (lines + counts[interest]) * FEWEST <= numbers:
                self._least, lines = interest, lines + counts[interest]
            elif interest:
                break
        self._points = min(MOST, max(FEWEST, numbers // max(1, lines)))

    def of(self, row: Row) -> list[dict[str, Any]]:
        """Return the curves of a row.

        Returns:
            For each ``stage``, ``name``, ``title``, ``axis`` ('epoch' or 'iter'), ``grid`` (where the points lie: an
            index into ``grids``), ``low``, ``high``, ``n`` (pretraining seeds), ``band`` and ``lines``: a line per
            seed, or with ``band`` their mean, least and most. A point is a whole number, 0 for ``low`` to 999 for
            ``high``, or None where nothing is known.
        """
        found = []
        for stage, name, runs in _curves(row):
            title, scale, interest = _TITLES[name]
            if interest > self._least:
                continue
            axis = next(iter(runs.values()))[0].axis
            grid = _grid(runs, self._points)
            lines = np.stack([scale * _mean([_at(one, grid) for one in series]) for series in runs.values()])
            # What was looked at once, such as by the only validation of a short run, is no curve.
            if len(grid) < 2 or not np.isfinite(lines).any():
                continue
            band = len(lines) > LINES
            if band:
                lines = np.stack([_mean(lines), np.fmin.reduce(lines), np.fmax.reduce(lines)])
            elif all(np.array_equal(lines[0], line, equal_nan=True) for line in lines[1:]):
                lines = lines[:1]  # as with a learning rate, which is that of every seed
            low, high = float(np.nanmin(lines)), float(np.nanmax(lines))
            steps = np.round((lines - low) / ((high - low) or 1) * STEPS)
            found.append(
                {
                    "stage": stage,
                    "name": name,
                    "title": title,
                    "axis": axis,
                    "grid": self._place(grid),
                    "low": float(f"{low:.6g}"),
                    "high": float(f"{high:.6g}"),
                    "n": len(runs),
                    "band": band,
                    "lines": [[None if np.isnan(step) else int(step) for step in line] for line in steps.tolist()],
                }
            )
        return found

    def _place(self, grid: np.ndarray) -> int:
        key = tuple(grid.tolist())
        if key not in self._places:
            self._places[key] = len(self.grids)
            self.grids.append(list(key))
        return self._places[key]


def _curves(row: Row) -> Iterator[tuple[str, str, Runs]]:
    """Yield stage, name and the series of each pretraining seed; series over another axis than the first are left."""
    stages: dict[str, list[Record]] = {}
    for record in row.records:
        stages.setdefault(record.stage, []).append(record)
    for stage in sorted(stages, key=stage_rank):
        for name in _TITLES:
            runs: Runs = {}
            axis = None
            for record in stages[stage]:
                series = record.series.get(name)
                if series is not None and series.at and series.axis == (axis := axis or series.axis):
                    runs.setdefault(unit_of(record), []).append(series)
            if runs:
                yield stage, name, runs


def _grid(runs: Runs, points: int) -> np.ndarray:
    """Return where the points of a curve lie: places of its series, thinned out evenly."""
    every = [series.at for unit in runs.values() for series in unit]
    places = every[0] if all(at == every[0] for at in every[1:]) else sorted(set().union(*every))
    return np.array([places[k] for k in thinned(len(places), points)])


def _at(series: Series, grid: np.ndarray) -> np.ndarray:
    """Return the values of a series on a grid, by lines between points; NaN beyond its ends and where it has none."""
    at = np.array(series.at)
    values = np.array([np.nan if value is None else value for value in series.values])
    there = np.isfinite(values)
    if not there.any():
        return np.full(len(grid), np.nan)
    found = np.interp(grid, at[there], values[there], left=np.nan, right=np.nan)
    found[np.isin(grid, at[~there])] = np.nan
    return found


def _mean(lines: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Return the mean of lines, of those that are known at a place."""
    known = np.isfinite(lines)
    count = known.sum(axis=0)
    total = np.where(known, lines, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
