"""The curves of robustness of rows as the page draws them: mean and spread over pretraining seeds."""

from __future__ import annotations

from collections.abc import Hashable
from statistics import fmean
from typing import Any

from mixpro_bench.leaderboard.columns import stage_rank
from mixpro_bench.leaderboard.model import Row
from mixpro_bench.leaderboard.response import Response
from mixpro_bench.leaderboard.statistics import spread, unit_of

LINES = 3  # seeds that have a line each where they cannot be averaged


def responses_of(row: Row) -> list[dict[str, Any]]:
    """Return the curves of a row.

    Seeds that were measured at the same places are averaged; others, such as those of a reliability diagram, whose
    places are mean confidences, have a line each.

    Returns:
        For each ``stage``, ``name``, ``x_label``, ``y_label``, ``n`` (pretraining seeds), ``of`` (what ``sd`` is the
        spread of: 'seeds', 'draws' or None) and ``lines``: each ``x``, ``y`` and ``sd`` (None where there is none).
    """
    grouped: dict[tuple[str, str], dict[Hashable, list[Response]]] = {}
    for record in row.records:
        for name, curve in record.curves.items():
            grouped.setdefault((record.stage, name), {}).setdefault(unit_of(record), []).append(curve)
    found = []
    for (stage, name), units in sorted(grouped.items(), key=lambda item: (stage_rank(item[0][0]), item[0][1])):
        every = [curve for curves in units.values() for curve in curves]
        first = every[0]
        same = all(curve.x == first.x for curve in every)
        of: str | None = None
        if not same:
            lines = [_line(curves[0].x, curves[0].y, None) for curves in list(units.values())[:LINES]]
        else:
            means = [
                [fmean(column) for column in zip(*(c.y for c in curves), strict=True)] for curves in units.values()
            ]
            y = [fmean(column) for column in zip(*means, strict=True)]
            sd = None
            if len(means) > 1:
                of, sd = (
                    "seeds",
                    [spread(column, mean) for column, mean in zip(zip(*means, strict=True), y, strict=True)],
                )
            elif first.sd is not None and len(every) == 1:
                of, sd = "draws", first.sd
            lines = [_line(first.x, y, sd)]
        found.append(
            {
                "stage": stage,
                "name": name,
                "x_label": first.x_label,
                "y_label": first.y_label,
                "n": len(units),
                "of": of,
                "lines": lines,
            }
        )
    return found


def _line(x: list[float], y: list[float], sd: list[float] | None) -> dict[str, Any]:
    return {"x": _short(x), "y": _short(y), "sd": None if sd is None else _short(sd)}


def _short(values: list[float]) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
