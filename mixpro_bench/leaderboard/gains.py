"""Gains over a named baseline and places among rivals, put on the rows of one table."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.comparison import Gain, compare, correct
from mixpro_bench.leaderboard.metrics import METRICS, RANKING, Metric
from mixpro_bench.leaderboard.model import Row
from mixpro_bench.leaderboard.ranking import rank_stability
from mixpro_bench.leaderboard.statistics import ALPHA

UPSTREAM, DOWNSTREAM = "pretrain", ("det", "seg")
MAIN = (*RANKING, "mask_ap")
FEWEST = 4  # rows of which an order says anything
_SHOWN = tuple(metric for metric in METRICS if metric.key in RANKING)
_SIDES = ((UPSTREAM,), DOWNSTREAM)


def baseline_of(rows: Sequence[Row], name: str) -> dict[tuple[str, str], Row]:
    """Return the baseline's row of each group of rows that has one.

    Args:
        rows: Rows of one table.
        name: A method as shown, or the name of its preset, or that of the method if only one preset of it is there.

    Raises:
        UserError: If several rows of one group go by that name.
    """
    found: dict[tuple[str, str], Row] = {}
    for key, group in groupby(sorted(rows, key=lambda row: row.group), key=lambda row: row.group):
        members = list(group)
        for named in ("shown", "preset", "method"):
            fitting = [r for r in members if name == (r.texts["method"] if named == "shown" else getattr(r, named))]
            if len(fitting) > 1:
                names = ", ".join(sorted(row.texts["method"] for row in fitting))
                raise UserError(f"the baseline {name!r} is not clear for {key[1]}: name one of {names}")
            if fitting:
                found[key] = fitting[0]
                break
    return found


def add_gains(rows: Sequence[Row], baselines: Mapping[tuple[str, str], Row]) -> list[Row]:
    """Return the rows with their gains over the baseline of their group.

    The p-values of the main columns (box AP, mIoU, top-1, mask AP) are corrected together, over all rows: whoever
    looks at all of them has as many chances. Those of each column of detail are corrected for themselves.
    """
    gains: dict[tuple[int, str], Gain] = {}
    for place, row in enumerate(rows):
        baseline = baselines.get(row.group)
        if baseline is None or baseline is row:
            continue
        for metric in METRICS:
            ours, theirs = row.cells.get(metric.key), baseline.cells.get(metric.key)
            gain = compare(_by_seed(ours.units), _by_seed(theirs.units)) if ours and theirs else None
            if gain is not None:
                gains[place, metric.key] = gain
    families: dict[str, list[tuple[int, str]]] = {}
    for at in gains:
        families.setdefault("main" if at[1] in MAIN else at[1], []).append(at)
    for family_members in families.values():
        corrected = correct([gains[at] for at in family_members])
        gains.update(zip(family_members, corrected, strict=True))
    by_row: list[dict[str, Gain]] = [{} for _ in rows]
    for (place, key), gain in gains.items():
        by_row[place][key] = gain
    return [_with_gains(row, by_row[place], baselines) for place, row in enumerate(rows)]


def add_ranks(rows: Sequence[Row], key: str) -> list[Row]:
    """Return the rows with their place among those of their group in column ``key``, seeds resampled.

    Rows of one seed have no say, and nobody has a place without a rival.
    """
    rows = list(rows)
    groups: dict[tuple[str, str], list[int]] = {}
    for place, row in enumerate(rows):
        if key in row.cells and row.cells[key].n > 1:
            groups.setdefault(row.group, []).append(place)
    for places in groups.values():
        if len(places) < 2:
            continue
        ranks = rank_stability([_by_seed(rows[place].cells[key].units) for place in places])
        for place, rank in zip(places, ranks, strict=True):
            span = f" ({rank.low}-{rank.high})" if rank.low != rank.high else ""
            texts = rows[place].texts | {"rank": f"{rank.place}{span}"}
            rows[place] = replace(rows[place], rank=rank, texts=texts)
    return rows


def verdict(gain: Gain) -> str:
    """Say what a gain shows: 'better', 'worse', or 'open' where chance explains it or it could not be tested."""
    if gain.p is None or gain.p >= ALPHA:
        return "open"
    return "better" if gain.effect > 0 else "worse"


def transfer_summary(rows: Sequence[Row]) -> list[str]:
    """Say whether what is better upstream is better downstream too: a sentence for each downstream metric.

    Args:
        rows: Rows with their gains; those without a gain upstream and downstream have no say.
    """
    sentences = []
    (up,) = (metric for metric in _SHOWN if metric.stage == UPSTREAM)
    for metric in _SHOWN:
        pairs = [(r.gains[up.key], r.gains[metric.key]) for r in rows if {up.key, metric.key} <= set(r.gains)]
        if metric is up or not pairs:
            continue
        verdicts = [verdict(down) for above, down in pairs if verdict(above) == "better"]
        if verdicts:
            counts = ", ".join(f"{verdicts.count(name)} {name}" for name in ("better", "worse", "open"))
            text = f"{len(verdicts)} of {len(pairs)} rows better in {up.title}, of these in {metric.title} {counts}"
        else:
            text = f"none of {len(pairs)} rows better in {up.title}, so {metric.title} answers nothing"
        sentences.append(f"does it transfer: {text}{_agreement(pairs)}")
    return sentences


def _agreement(pairs: Sequence[tuple[Gain, Gain]]) -> str:
    """Say how far two gains put the rows in one order; nothing of fewer rows than four, or where all are equal."""
    if len(pairs) < FEWEST:
        return ""
    from scipy.stats import kendalltau

    tau = kendalltau([up.effect for up, _ in pairs], [down.effect for _, down in pairs]).statistic
    return "" if math.isnan(tau) else f"; Kendall's tau of the two gains is {tau:+.2f} over {len(pairs)} rows"


def _with_gains(row: Row, gains: dict[str, Gain], baselines: Mapping[tuple[str, str], Row]) -> Row:
    up, down = ([_say(m, gains[m.key]) for m in _SHOWN if m.stage in s and m.key in gains] for s in _SIDES)
    texts = dict(row.texts)
    if baselines.get(row.group) is row:
        texts["transfer"] = "baseline"
    elif up or down:
        texts["transfer"] = f"{', '.join(up) or 'unknown'} -> {', '.join(down) or 'not measured'}"
    return replace(row, gains=gains, texts=texts)


def _say(metric: Metric, gain: Gain) -> str:
    return f"{metric.title} {gain.effect:+.{metric.decimals}f} {verdict(gain)}"


def _by_seed(units: Mapping[Hashable, float]) -> dict[Hashable, float]:
    """Name units by their seed alone: a run from scratch is paired with the pretraining of the same seed.

    They share no pretraining, so that pair is as good as any other, which costs power but is no error.
    """
    return {unit[1] if isinstance(unit, tuple) else unit: value for unit, value in units.items()}
