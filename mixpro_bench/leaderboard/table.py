"""The one model of the leaderboard, from which every output is written.

A row is a method on a backbone and joins the stages of that method: the pretraining and what was trained on its
weights. A table holds only rows that may be compared: its stages have one protocol, version, recipe and data each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from mixpro_bench.leaderboard.comparison import Gain
from mixpro_bench.leaderboard.metrics import METRICS, RANKING, STAGES
from mixpro_bench.leaderboard.record import Record
from mixpro_bench.leaderboard.statistics import Summary, summarize, unit_of

MEANINGS = {
    "dirty": "the code had changes that are in no commit",
    "mixed commits": "the runs of the row were made by different versions of the code",
    "weights incomplete": "not every pretrained parameter was found in the checkpoint",
    "no load audit": "it is not known which pretrained weights were loaded",
}


@dataclass(frozen=True, order=True)
class Conditions:
    """What two Records of a stage must share to be compared."""

    stage: str
    protocol: str
    version: int
    recipe: str
    data: str

    def __str__(self) -> str:
        parts = [f"{self.stage}: {self.protocol} v{self.version}"]
        parts += [f"recipe {self.recipe[:8]}"] * bool(self.recipe) + [f"data {self.data[:8]}"] * bool(self.data)
        return ", ".join(parts)


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: Name in files and in the row's cells.
        title: Head of the column for people.
        kind: 'text'; 'number', shown with its spread; or 'cost', shown without.
        decimals: Digits shown behind the point.
        detail: 0 is always shown; columns of the highest level are the first to go where there is little room.
    """

    key: str
    title: str
    kind: str = "number"
    decimals: int = 1
    detail: int = 0


@dataclass(frozen=True)
class Row:
    """One method on one backbone.

    Attributes:
        texts: Text cells by column key.
        cells: Number cells by column key; a key is absent where nothing was measured.
        n: Pretraining seeds behind the row (the most of any cell).
        marks: What a reader must know about the row.
        backbone: Name of the backbone.
        method: Name of the method.
        preset: Name of its preset.
        gains: Paired difference to the baseline by column key; a key is absent where there is nothing to compare.
        records: The Records behind the row.
    """

    texts: dict[str, str]
    cells: dict[str, Summary]
    n: int
    marks: tuple[str, ...] = ()
    backbone: str = ""
    method: str = ""
    preset: str = ""
    gains: dict[str, Gain] = field(default_factory=dict)
    records: tuple[Record, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Table:
    """Rows that may be compared, and the conditions they share.

    Attributes:
        title: The protocols.
        conditions: One per stage.
        columns: The columns that hold anything.
        rows: Ordered by backbone, then by what transfers best.
        notes: Remarks for people.
        baseline: Method that the gains are measured against.
    """

    title: str
    conditions: tuple[Conditions, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    baseline: str | None = None


def format_cell(row: Row, column: Column) -> str:
    """Write one cell for people: ``71.2 ± 0.8``; a cell of fewer seeds than its row says so; empty if unmeasured."""
    if column.kind == "text":
        return row.texts.get(column.key, "")
    cell = row.cells.get(column.key)
    if cell is None:
        return ""
    text = f"{cell.mean:.{column.decimals}f}"
    if cell.sd is not None and column.kind == "number":
        text += f" ± {cell.sd:.{column.decimals}f}"
    return text if cell.n == row.n else f"{text} (n={cell.n})"


def conditions_of(record: Record) -> Conditions:
    """Return what a Record may be compared within."""
    return Conditions(
        record.stage,
        record.protocol.name,
        record.protocol.version,
        record.recipe_hash or "",
        record.provenance.data_fingerprint or "",
    )


def build_tables(records: Iterable[Record]) -> list[Table]:
    """Group Records into tables of comparable rows.

    A transfer belongs to the pretraining whose checkpoint it loaded (by SHA-256); if that pretraining left no Record
    here, to the conditions that the checkpoint itself tells. Runs from scratch stand in every table that has their
    own conditions.
    """
    records = list(records)
    # Checkpoint -> its pretraining: the link between the stages.
    made = {r.provenance.checkpoint_sha256: r for r in records if r.provenance.checkpoint_sha256 and _is_root(r)}
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
            used = {_row_key(r) for r in members if not _is_root(r)}
            members = [r for r in members if not _is_root(r) or number == 0 or _row_key(r) in used]
            tables.append(_table(members, layer))
    shown = {condition for table in tables for condition in table.conditions}
    left = [r for r in alone if conditions_of(r) not in shown]
    tables += [_table([r for r in left if conditions_of(r) in layer], layer) for layer in _layers(left)]
    return tables


def _is_root(record: Record) -> bool:
    return record.stage == "pretrain"


def _family_of(record: Record, made: dict[str, Record]) -> Conditions | str | None:
    if _is_root(record):
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
    stages = [by_stage[stage] for stage in sorted(by_stage, key=_stage_rank)]
    layers = [tuple(c for c in layer if c is not None) for layer in zip_longest(*stages)] or [()]
    return [(*root, *layer) for layer in layers] if root or stages else []


def _stage_rank(stage: str) -> tuple[int, str]:
    return (STAGES.index(stage) if stage in STAGES else len(STAGES), stage)


def _row_key(record: Record) -> tuple[str, str, str]:
    return (record.backbone, record.method.name, record.method.preset)


def _table(records: Sequence[Record], conditions: tuple[Conditions, ...]) -> Table:
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        groups.setdefault(_row_key(record), []).append(record)
    rows = [_row(group) for group in groups.values()]
    rank = next((key for key in RANKING if any(key in row.cells for row in rows)), None)

    def order(row: Row) -> tuple[str, float, str]:
        value = row.cells[rank].mean if rank in row.cells else float("-inf")
        return (row.texts["backbone"], -value, row.texts["method"])

    rows.sort(key=order)
    notes = []
    if any(row.n == 1 for row in rows):
        notes.append("n=1: one pretraining seed, so no spread is known")
    if any(row.n > 1 for row in rows):
        notes.append("± is the standard deviation over pretraining seeds (n)")
    marks = {mark for row in rows for mark in row.marks}
    notes += [f"{mark}: {meaning}" for mark, meaning in MEANINGS.items() if mark in marks]
    title = ", ".join(f"{c.stage}: {c.protocol} v{c.version}" for c in conditions)
    return Table(title, conditions, _columns(rows), tuple(rows), tuple(notes))


def _row(records: Sequence[Record]) -> Row:
    cells: dict[str, Summary] = {}
    for metric in METRICS:
        measured = [r for r in records if r.stage == metric.stage and metric.raw in r.metrics]
        _put(cells, metric.key, summarize((unit_of(r), metric.scale * r.metrics[metric.raw]) for r in measured))
    for stage in {r.stage for r in records}:
        runs = [r for r in records if r.stage == stage]
        speeds = ((unit_of(r), r.cost.images_per_s) for r in runs if r.cost.images_per_s is not None)
        _put(cells, f"{stage}_images_per_s", summarize(speeds))
        _put(cells, f"{stage}_minutes", summarize((unit_of(r), r.cost.wall_s / 60) for r in runs))
    n = max(len({unit_of(r) for r in records if r.stage == stage}) for stage in {r.stage for r in records})
    first = records[0]
    name = first.method.name
    if first.method.preset != name:
        name += f" ({first.method.preset})"
    texts = {
        "backbone": first.backbone,
        "method": name,
        "n": str(n),
        "load": _load_mark(records),
        "marks": "; ".join(_marks(records)),
    }
    return Row(
        texts,
        cells,
        n,
        tuple(_marks(records)),
        first.backbone,
        first.method.name,
        first.method.preset,
        records=tuple(records),
    )


def _put(cells: dict[str, Summary], key: str, summary: Summary | None) -> None:
    if summary is not None:
        cells[key] = summary


def _load_mark(records: Sequence[Record]) -> str:
    """Return the worst load audit of a row's transfers."""
    transfers = [r for r in records if not _is_root(r)]
    audits = [r.provenance.load_audit for r in transfers]
    found = [audit for audit in audits if audit is not None]
    if not found:
        return ""
    worst = min(found, key=lambda audit: audit.share)
    mark = "ok" if all(audit.complete for audit in found) else "INCOMPLETE"
    # Rounded down: 99.96 % must not read as 100.
    return f"{mark} {int(worst.share * 1000) / 10:g}%"


def _marks(records: Sequence[Record]) -> list[str]:
    marks = []
    if any(r.provenance.dirty for r in records):
        marks.append("dirty")
    if any(r.provenance.load_audit and not r.provenance.load_audit.complete for r in records):
        marks.append("weights incomplete")
    if any(not _is_root(r) and r.provenance.upstream_sha256 and not r.provenance.load_audit for r in records):
        marks.append("no load audit")
    lost = sorted({str(name) for r in records for name in (r.model_extra or {}).get("not_finite", ())})
    if lost:
        marks.append(f"not finite: {', '.join(lost)}")
    if len({r.provenance.commit for r in records}) > 1:
        marks.append("mixed commits")
    return marks


def _columns(rows: Sequence[Row]) -> tuple[Column, ...]:
    """Return the columns that hold anything."""
    keys = {key for row in rows for key in row.cells}
    stages = sorted({key.removesuffix("_minutes") for key in keys if key.endswith("_minutes")}, key=_stage_rank)
    columns = [Column("backbone", "backbone", "text"), Column("method", "method", "text"), Column("n", "n", "text")]
    columns += [Column(m.key, m.title, decimals=m.decimals, detail=m.detail) for m in METRICS if m.key in keys]
    if any(row.texts["load"] for row in rows):
        columns.append(Column("load", "weights", "text", detail=1))
    for stage in stages:
        if f"{stage}_images_per_s" in keys:
            columns.append(Column(f"{stage}_images_per_s", f"{stage} img/s", "cost", decimals=0, detail=2))
        columns.append(Column(f"{stage}_minutes", f"{stage} min", "cost", detail=2))
    if any(row.marks for row in rows):
        columns.append(Column("marks", "remarks", "text"))
    return tuple(columns)
