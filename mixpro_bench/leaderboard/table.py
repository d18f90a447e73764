"""The one model of the leaderboard, from which every output is written.

A row is a method on a backbone and joins the stages of that method: the pretraining and what was trained on its
weights. A table holds only rows that may be compared: its stages have one protocol, version, recipe and data each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.columns import columns_of, stage_rank
from mixpro_bench.leaderboard.gains import add_gains, add_ranks, baseline_of
from mixpro_bench.leaderboard.metrics import PARTS, RANKING
from mixpro_bench.leaderboard.model import Column, Conditions, Row, Table, conditions_of, format_cell
from mixpro_bench.leaderboard.notes import notes_of
from mixpro_bench.leaderboard.record import Record
from mixpro_bench.leaderboard.rows import is_root, make_row, row_key
from mixpro_bench.leaderboard.sizes import Sizes, rank_of

__all__ = ["Column", "Conditions", "Row", "Table", "build_tables", "conditions_of", "format_cell"]


def build_tables(records: Iterable[Record], baseline: str | None = None, best: bool = False) -> list[Table]:
    """Group Records into tables of comparable rows.

    A transfer belongs to the pretraining whose checkpoint it loaded (by SHA-256); if that pretraining left no Record
    here, to the conditions that the checkpoint itself tells. Runs from scratch stand in every table that has their
    own conditions.

    Args:
        records: Any number of Records.
        baseline: Method or preset that gains are measured against, on each backbone; None for no gains.
        best: Whether columns of each run's best validation are wanted, beside those of its last checkpoint.

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
            tables.append(_table(members, layer, made, baseline, best))
    shown = {condition for table in tables for condition in table.conditions}
    left = [r for r in alone if conditions_of(r) not in shown]
    for layer in _layers(left):
        tables.append(_table([r for r in left if conditions_of(r) in layer], layer, made, baseline, best))
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


def _table(
    records: Sequence[Record],
    conditions: tuple[Conditions, ...],
    made: Mapping[str, Record],
    baseline: str | None,
    best: bool,
) -> Table:
    sizes = Sizes(records, made)
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        groups.setdefault((sizes.of(record), *row_key(record)), []).append(record)
    rows = [make_row(group, key[0], best) for key, group in groups.items()]
    rank = next((key for key in RANKING if any(key in row.cells for row in rows)), None)

    def order(row: Row) -> tuple[object, ...]:
        value = row.cells[rank].mean if rank in row.cells else float("-inf")
        return (rank_of(row.size), row.backbone, -value, row.texts["method"])

    rows.sort(key=order)
    baselines = baseline_of(rows, baseline) if baseline is not None else {}
    if baselines:
        rows = add_gains(rows, baselines)
    if rank is not None:
        rows = add_ranks(rows, rank)
    trained = [c for c in conditions if c.stage not in PARTS]
    title = ", ".join(c.agreed + " (off protocol)" * bool(c.deviations) for c in trained or conditions)
    name = baseline if baselines else None
    return Table(title, conditions, columns_of(rows), tuple(rows), notes_of(rows, conditions, name, rank, best), name)
