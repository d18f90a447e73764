"""One Record as lines for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mixpro_bench.leaderboard.record import Best, Model, Record
from mixpro_bench.leaderboard.series import Series, thinned

BARS = "▁▂▃▄▅▆▇█"
BAR_COUNT = 24


def describe(record: Record) -> list[tuple[str, str]]:
    """Return every known field of a Record with its value as text; parts and curves have a line for each entry."""
    rows = []
    for key, value in record.model_dump(mode="json", exclude_none=True).items():
        if key == "series":
            lines = [f"{name}: {curve(series)}" for name, series in record.series.items()]
        elif key == "best" and record.best is not None:
            lines = [_best(record.best, record)]
        elif key == "model" and record.model is not None:
            lines = [_model(record.model)]
        elif isinstance(value, dict):
            lines = [f"{name}: {part}" for name, part in value.items()]
            if key == "cost" and record.gpu_hours is not None:
                lines.append(f"device hours: {record.gpu_hours:.3g}")
        else:
            lines = [str(value)]
        if lines:
            rows.append((key, "\n".join(lines)))
    return rows


def curve(series: Series) -> str:
    """Write a curve in one line: its first and last value, where they lie, and its shape.

    Examples:
        >>> curve(Series(axis="epoch", at=[1, 2, 3], values=[10.0, 30.0, 45.5]))
        '10 at epoch 1, 45.5 at epoch 3 ▁▅█'
    """
    told = [(at, value) for at, value in zip(series.at, series.values, strict=True) if value is not None]
    if not told:
        return f"no finite value in {len(series.at)}"
    ends = [f"{value:.4g} at {series.axis} {at}" for at, value in (told[0], told[-1])]
    return f"{', '.join(dict.fromkeys(ends))} {_shape([value for _, value in told])}".rstrip()


def _shape(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    if high == low:
        return ""
    drawn = [values[k] for k in thinned(len(values), BAR_COUNT)]
    return "".join(BARS[round((value - low) / (high - low) * (len(BARS) - 1))] for value in drawn)


def _best(best: Best, record: Record) -> str:
    last = record.metrics.get(best.metric)
    behind = "" if last is None else f"; {last:.4g} at the end"
    return f"{best.metric} {best.value:.4g} at {best.axis} {best.at}{behind}"


def _model(model: Model) -> str:
    words = []
    if model.parameters is not None:
        words.append(f"{_short(model.parameters)} parameters")
    if model.macs is not None:
        words.append(f"{_short(model.macs)} multiply-accumulates of the backbone")
        if model.image_size is not None:
            words[-1] += " for {} x {} pixels".format(*model.image_size)
    return ", ".join(words) or "not counted"


def _short(value: Any) -> str:
    """Write a large number with a letter for thousands, millions or billions."""
    for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.3g} {letter}"
    return f"{value:g}"
