"""Intervals of rows over validation images.

All runs are measured on the same images, so the same images are drawn for all of them: the seeds of a row are averaged
draw by draw, and so are the differences to the baseline. What the intervals leave out is what other seeds would do,
which the other intervals are about.

AP of drawn images is too high on average, since its precision is the best from there on, and the best of noise is more
than its mean. So the intervals are pivotal (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section
5.2): how far draws are from all images says how far all images are from the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.metrics import METRICS
from mixpro_bench.leaderboard.model import Column, Interval, Row, Table
from mixpro_bench.leaderboard.over_images.kept import load_kept
from mixpro_bench.leaderboard.record import Record
from mixpro_bench.leaderboard.statistics import unit_of

STAGES = ("det", "seg")
COVERAGE = 0.95
SEED = 0

__all__ = ["Interval", "add_intervals"]


class Draws:
    """The metrics of one run for each draw of its images.

    Attributes:
        images: The images, in the order they were drawn in.
        values: By the evaluator's name of the metric, ``(1 + draws,)``: all images once, then the draws.
    """

    def __init__(self, images: tuple[Hashable, ...], values: dict[str, np.ndarray]) -> None:
        self.images = images
        self.values = values


def add_intervals(
    tables: Sequence[Table],
    folders: Mapping[int, Path],
    draws: int,
    track: Callable[[Sequence[Record]], Iterator[tuple[Record, Callable[[int], None]]]],
    seed: int = SEED,
) -> tuple[list[Table], list[str]]:
    """Return the tables with intervals over images, where every run of a stage of a row kept its predictions.

    Args:
        tables: The tables.
        folders: Folder of each Record, by its ``id()``.
        draws: How often the images are drawn with replacement.
        track: Goes through the Records that are looked at, and gives each with what wants to hear of finished draws.
        seed: Of the draws.

    Returns:
        The tables, and a sentence for each run whose predictions cannot be used.
    """
    # A run from scratch may stand in several tables.
    records = {id(r): r for table in tables for row in table.rows for r in row.records if r.stage in STAGES}
    known: dict[int, Draws] = {}
    problems = []
    for record, step in track(list(records.values())):
        try:
            found = _draw(record, folders[id(record)], draws, seed, step)
        except UserError as error:
            problems.append(str(error))
            continue
        if found is not None:
            known[id(record)] = found
    return [_with_intervals(table, known, draws) for table in tables], problems


def resamples(images: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each of ``images`` images is in each resample, ``(images,)``; the same for the same arguments."""
    generator = np.random.default_rng(seed)
    for _ in range(draws):
        yield np.bincount(generator.integers(images, size=images), minlength=images).astype(np.float64)


def _draw(record: Record, folder: Path, draws: int, seed: int, step: Callable[[int], None]) -> Draws | None:
    measured = load_kept(record, folder)
    if measured is None:
        return None
    found = [measured.metrics(np.ones(len(measured.images)))]
    for weights in resamples(len(measured.images), draws, seed):
        found.append(measured.metrics(weights))
        step(1)
    return Draws(measured.images, {key: np.array([one[key] for one in found]) for key in found[0]})


def _with_intervals(table: Table, known: Mapping[int, Draws], draws: int) -> Table:
    # Row -> column key -> images and values of the row for each draw.
    values = [_of_row(row, known) for row in table.rows]
    baselines = {
        row.group: own for row, own in zip(table.rows, values, strict=True) if row.texts.get("transfer") == "baseline"
    }
    rows = []
    for row, own in zip(table.rows, values, strict=True):
        intervals = {key: _interval(images, drawn) for key, (images, drawn) in own.items()}
        for key, (images, drawn) in own.items():
            theirs = baselines.get(row.group, {}).get(key)
            # The baseline's difference to itself says nothing.
            if theirs is not None and theirs[1] is not drawn and theirs[0] == images:
                intervals[f"{key}_gain"] = _interval(images, drawn - theirs[1])
        rows.append(replace(row, images=intervals))
    if not any(row.images for row in rows):
        return table
    note = (
        f"over images: 95 % interval from {draws} draws of the validation images with replacement (pivotal bootstrap), "
        "the same for all runs; what other seeds would do is not in it"
    )
    return replace(table, rows=tuple(rows), columns=_columns(table.columns, rows), notes=(*table.notes, note))


def _of_row(row: Row, known: Mapping[int, Draws]) -> dict[str, tuple[tuple[Hashable, ...], np.ndarray]]:
    found = {}
    for metric in METRICS:
        runs = [r for r in row.records if r.stage == metric.stage and r.metrics.get(metric.raw, -1) >= 0]
        drawn = [known.get(id(r)) for r in runs]
        if metric.stage not in STAGES or not runs or any(one is None or metric.raw not in one.values for one in drawn):
            continue
        there = [one for one in drawn if one is not None]
        if any(one.images != there[0].images for one in there):
            continue
        units: dict[Hashable, list[np.ndarray]] = {}
        for record, one in zip(runs, there, strict=True):
            units.setdefault(unit_of(record), []).append(metric.scale * one.values[metric.raw])
        mean = np.mean([np.mean(own, axis=0) for own in units.values()], axis=0)
        found[metric.key] = (there[0].images, mean)
    return found


def _interval(images: Sequence[Hashable], values: np.ndarray) -> Interval:
    # A draw may have no object at all.
    low, high = np.nanquantile(values[1:], [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Interval(float(2 * values[0] - high), float(2 * values[0] - low), len(images))


def _columns(columns: Sequence[Column], rows: Sequence[Row]) -> tuple[Column, ...]:
    """Return the columns, with those of the intervals behind what they are of."""
    there = {key for row in rows for key in row.images}
    found = []
    for column in columns:
        found.append(column)
        if column.key in there:
            found.append(
                Column(
                    f"{column.key}_images",
                    f"{column.title} over images",
                    "interval",
                    column.decimals,
                    max(1, column.detail),
                )
            )
    return tuple(found)
