"""From the Records of one method on one backbone to a row, and from rows to the columns they fill."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from mixpro_bench.leaderboard.metrics import METRICS, RANKING, STAGES
from mixpro_bench.leaderboard.model import Column, Row
from mixpro_bench.leaderboard.record import Record, identity
from mixpro_bench.leaderboard.statistics import Summary, summarize, unit_of

MEANINGS = {
    "dirty": "the code had changes that are in no commit",
    "mixed commits": "the runs of the row were made by different versions of the code",
    "weights incomplete": "not every pretrained parameter was found in the checkpoint",
    "contradictory": "runs of the same settings, seed, data and weights gave different numbers; all of them count",
    "no load audit": "it is not known which pretrained weights were loaded",
}


def is_root(record: Record) -> bool:
    """Say whether a Record is that of a pretraining."""
    return record.stage == "pretrain"


def stage_rank(stage: str) -> tuple[int, str]:
    """Return the place of a stage: upstream first, unknown ones last."""
    return (STAGES.index(stage) if stage in STAGES else len(STAGES), stage)


def row_key(record: Record) -> tuple[str, str, str]:
    """Return what the Records of one row share."""
    return (record.backbone, record.method.name, record.method.preset)


def make_row(records: Sequence[Record]) -> Row:
    """Join the Records of one row."""
    cells: dict[str, Summary] = {}
    for metric in METRICS:
        # COCO's evaluator says -1 where the data has no object of a size; no metric here can be negative otherwise.
        measured = [r for r in records if r.stage == metric.stage and r.metrics.get(metric.raw, -1) >= 0]
        _put(cells, metric.key, summarize((unit_of(r), metric.scale * r.metrics[metric.raw]) for r in measured))
    for stage in {r.stage for r in records}:
        runs = [r for r in records if r.stage == stage]
        speeds = ((unit_of(r), r.cost.images_per_s) for r in runs if r.cost.images_per_s is not None)
        _put(cells, f"{stage}_images_per_s", summarize(speeds))
        _put(cells, f"{stage}_minutes", summarize((unit_of(r), r.cost.wall_s / 60) for r in runs))
    sizes = [r for r in records if is_root(r) and r.model is not None]
    for key, scale in (("parameters", 1e-6), ("macs", 1e-9)):
        known = ((unit_of(r), scale * value) for r in sizes if (value := getattr(r.model, key)) is not None)
        _put(cells, key, summarize(known))
    n = max(len({unit_of(r) for r in records if r.stage == stage}) for stage in {r.stage for r in records})
    first, marks = records[0], _marks(records)
    name = first.method.name
    if first.method.preset != name:
        name += f" ({first.method.preset})"
    texts = {
        "backbone": first.backbone,
        "method": name,
        "n": str(n),
        "load": _load_mark(records),
        "marks": "; ".join(marks),
    }
    return Row(
        texts,
        cells,
        n,
        tuple(marks),
        first.backbone,
        first.method.name,
        first.method.preset,
        records=tuple(records),
    )


def columns_of(rows: Sequence[Row]) -> tuple[Column, ...]:
    """Return the columns that hold anything."""
    keys = {key for row in rows for key in row.cells}
    stages = sorted({key.removesuffix("_minutes") for key in keys if key.endswith("_minutes")}, key=stage_rank)
    columns = [Column("backbone", "backbone", "text"), Column("method", "method", "text"), Column("n", "n", "text")]
    if any(row.rank for row in rows):
        columns.append(Column("rank", "rank", "text", detail=1))
    gained = {key for row in rows for key in row.gains}
    for m in METRICS:
        if m.key in keys:
            columns.append(Column(m.key, m.title, decimals=m.decimals, detail=m.detail))
        if m.key in gained:
            columns.append(
                Column(f"{m.key}_gain", f"Δ {m.title}", "gain", m.decimals, 1 if m.key in RANKING else max(2, m.detail))
            )
    if gained:
        columns.append(Column("transfer", "does it transfer", "text", detail=2))
    if any(row.texts["load"] for row in rows):
        columns.append(Column("load", "weights", "text", detail=1))
    for key, title in (("parameters", "M params"), ("macs", "GMACs")):
        if key in keys:
            columns.append(Column(key, title, "cost", detail=2))
    for stage in stages:
        if f"{stage}_images_per_s" in keys:
            columns.append(Column(f"{stage}_images_per_s", f"{stage} img/s", "cost", decimals=0, detail=2))
        columns.append(Column(f"{stage}_minutes", f"{stage} min", "cost", detail=2))
    if any(row.marks for row in rows):
        columns.append(Column("marks", "remarks", "text"))
    return tuple(columns)


def contradictions(records: Iterable[Record]) -> list[tuple[Record, Record]]:
    """Return the pairs of Records that should be equal (`identity`) but have different metrics."""
    first: dict[Hashable, Record] = {}
    return [
        (other, record)
        for record in records
        if (other := first.setdefault(identity(record), record)).metrics != record.metrics
    ]


def _put(cells: dict[str, Summary], key: str, summary: Summary | None) -> None:
    if summary is not None:
        cells[key] = summary


def _load_mark(records: Sequence[Record]) -> str:
    """Return the worst load audit of a row's transfers."""
    transfers = [r for r in records if not is_root(r)]
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
    if any(not is_root(r) and r.provenance.upstream_sha256 and not r.provenance.load_audit for r in records):
        marks.append("no load audit")
    lost = sorted({str(name) for r in records for name in (r.model_extra or {}).get("not_finite", ())})
    if lost:
        marks.append(f"not finite: {', '.join(lost)}")
    if contradictions(records):
        marks.append("contradictory")
    if len({r.provenance.commit for r in records}) > 1:
        marks.append("mixed commits")
    return marks
