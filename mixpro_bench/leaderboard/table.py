"""The one model of the leaderboard, from which every output is written.

A row is a method on a backbone and joins the stages of that method: the pretraining and what was trained on its
weights. A table holds only rows that may be compared: its stages have one protocol, version, recipe and data each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.gains import add_gains, add_ranks, baseline_of
from mixpro_bench.leaderboard.metrics import METRICS, RANKING
from mixpro_bench.leaderboard.model import Column, Conditions, Row, Table, conditions_of, format_cell
from mixpro_bench.leaderboard.record import Record
from mixpro_bench.leaderboard.rows import MEANINGS, columns_of, is_root, make_row, row_key, stage_rank

__all__ = ["Column", "Conditions", "Row", "Table", "build_tables", "conditions_of", "format_cell"]


def build_tables(records: Iterable[Record], baseline: str | None = None) -> list[Table]:
    """Group Records into tables of comparable rows.

    A transfer belongs to the pretraining whose checkpoint it loaded (by SHA-256); if that pretraining left no Record
    here, to the conditions that the checkpoint itself tells. Runs from scratch stand in every table that has their
    own conditions.

    Args:
        records: Any number of Records.
        baseline: Method or preset that gains are measured against, on each backbone; None for no gains.

    Raises:
        UserError: If no row goes by the baseline's name, or several of one backbone do.
    """
    records = list(records)
    # Checkpoint -> its pretraining: the link between the stages.
    made = {r.provenance.checkpoint_sha256: r for r in records if r.provenance.checkpoint_sha256 and is_root(r)}
    families: dict[Conditions | str | None, list[Record]] = {}
    for record in records:
        families.setdefault(_family_of(record, made), []).append(record)
    alone = families.pop(None, [])
    tables = []
    for family in families.values():
        layers = _layers(family)
        for number, layer in enumerate(layers):
            members = [r for r in family if conditions_of(r) in layer]
            members += [r for r in alone if conditions_of(r) in layer]
            # A pretraining stands in every table of its transfers; one without a transfer only in the first.
            used = {row_key(r) for r in members if not is_root(r)}
            members = [r for r in members if not is_root(r) or number == 0 or row_key(r) in used]
            tables.append(_table(members, layer, baseline))
    shown = {condition for table in tables for condition in table.conditions}
    left = [r for r in alone if conditions_of(r) not in shown]
    tables += [_table([r for r in left if conditions_of(r) in layer], layer, baseline) for layer in _layers(left)]
    if baseline is not None and all(table.baseline is None for table in tables):
        names = sorted({row.texts["method"] for table in tables for row in table.rows})
        raise UserError(f"no row is called {baseline!r}: the baseline must be one of {', '.join(names)}")
    return tables


def _family_of(record: Record, made: dict[str, Record]) -> Conditions | str | None:
    if is_root(record):
        return conditions_of(record)
    sha = record.provenance.upstream_sha256
    if sha is None:
        return None
    if sha in made:
        return conditions_of(made[sha])
    upstream = (record.model_extra or {}).get("upstream") or {}
    if upstream.get("protocol") is None:
        return "weights of unknown pretraining"
    return Conditions(
        "pretrain",
        str(upstream["protocol"]),
        int(upstream.get("version") or 0),
        str(upstream.get("recipe_hash") or ""),
        str(upstream.get("data_fingerprint") or ""),
    )


def _layers(records: Sequence[Record]) -> list[tuple[Conditions, ...]]:
    """Split the conditions of a family into tables, each with one condition per stage; the most used come first."""
    counts = Counter(conditions_of(record) for record in records)
    by_stage: dict[str, list[Conditions]] = {}
    for condition in sorted(counts, key=lambda c: (-counts[c], c)):
        by_stage.setdefault(condition.stage, []).append(condition)
    root = by_stage.pop("pretrain", [])
    stages = [by_stage[stage] for stage in sorted(by_stage, key=stage_rank)]
    layers = [tuple(c for c in layer if c is not None) for layer in zip_longest(*stages)] or [()]
    return [(*root, *layer) for layer in layers] if root or stages else []


def _table(records: Sequence[Record], conditions: tuple[Conditions, ...], baseline: str | None) -> Table:
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        groups.setdefault(row_key(record), []).append(record)
    rows = [make_row(group) for group in groups.values()]
    rank = next((key for key in RANKING if any(key in row.cells for row in rows)), None)

    def order(row: Row) -> tuple[str, float, str]:
        value = row.cells[rank].mean if rank in row.cells else float("-inf")
        return (row.texts["backbone"], -value, row.texts["method"])

    rows.sort(key=order)
    baselines = baseline_of(rows, baseline) if baseline is not None else {}
    if baselines:
        rows = add_gains(rows, baselines)
    if rank is not None:
        rows = add_ranks(rows, rank)
    notes = []
    if any(row.n == 1 for row in rows):
        notes.append("n=1: one pretraining seed, so no spread is known")
    if any(row.n > 1 for row in rows):
        notes.append("± is the standard deviation over pretraining seeds (n)")
    if baselines:
        notes.append(f"Δ: mean difference to {baseline} over common seeds [95 % interval], p by Holm's correction")
        notes += _detectable(rows)
    if any(row.rank for row in rows):
        notes.append(f"rank: place in {_title(rank)}, and where 95 % of resamples of the seeds put it")
    marks = {mark for row in rows for mark in row.marks}
    notes += [f"{mark}: {meaning}" for mark, meaning in MEANINGS.items() if mark in marks]
    title = ", ".join(f"{c.stage}: {c.protocol} v{c.version}" for c in conditions)
    name = baseline if baselines else None
    return Table(title, conditions, columns_of(rows), tuple(rows), tuple(notes), name)


def _detectable(rows: Sequence[Row]) -> list[str]:
    """Say how large an effect had to be to be seen; the largest of the rows, as that is what none can fall behind."""
    notes = []
    for metric in METRICS:
        found = [row.gains[metric.key] for row in rows if metric.key in row.gains]
        sizes = [gain.detectable for gain in found if gain.detectable is not None]
        if metric.key in RANKING and sizes:
            low, high = (f"{size:.{metric.decimals}f}" for size in (min(sizes), max(sizes)))
            span = low if low == high else f"{low} to {high}, depending on the row"
            notes.append(f"smallest gain in {metric.title} that so many seeds show with power 0.8: {span}")
    return notes


def _title(key: str | None) -> str:
    return next((metric.title for metric in METRICS if metric.key == key), "")
