"""Which columns a table has: those that hold anything, in an order for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mixpro_bench.leaderboard.metrics import METRICS, PARTS, RANKING, STAGES
from mixpro_bench.leaderboard.model import Column, Row

# End of the key -> end of the title and decimals; the stage stands before both.
COSTS = {
    "images_per_s": ("img/s", 0),
    "gpu_hours": ("GPU h", 2),
    "gpu_memory": ("GPU GiB", 1),
    "memory": ("RAM GiB", 1),
    "minutes": ("min", 1),
}


def stage_rank(stage: str) -> tuple[int, str]:
    """Return the place of a stage: upstream first, then transfers, unknown ones last."""
    known = (*STAGES, *PARTS)
    return (known.index(stage) if stage in known else len(known), stage)


def columns_of(rows: Sequence[Row]) -> tuple[Column, ...]:
    """Return the columns that hold anything."""
    keys = {key for row in rows for key in row.cells}
    gained = {key for row in rows for key in row.gains}
    columns = [Column("backbone", "backbone", "text"), Column("method", "method", "text"), Column("n", "n", "text")]
    if any(row.rank for row in rows):
        columns.append(Column("rank", "rank", "text", detail=1))
    columns += _metrics(keys, gained)
    if gained:
        columns.append(Column("transfer", "does it transfer", "text", detail=2))
    if any(row.texts["load"] for row in rows):
        columns.append(Column("load", "weights", "text", detail=1))
    if any(row.size for row in rows):
        columns.append(Column("size", "size", "text", detail=3))
    for key, title in (("parameters", "M params"), ("macs", "GMACs")):
        if key in keys:
            # Models of the demo are a hundredth of the usual ones.
            small = min(row.cells[key].mean for row in rows if key in row.cells) < 1
            columns.append(Column(key, title, "cost", 3 if small else 1, 2))
    stages = {key.removesuffix("_minutes") for key in keys if key.endswith("_minutes")}
    for stage in sorted(stages, key=stage_rank):
        for name, (title, decimals) in COSTS.items():
            if f"{stage}_{name}" in keys:
                columns.append(Column(f"{stage}_{name}", f"{stage} {title}", "cost", decimals, 2))
    if any(row.marks for row in rows):
        columns.append(Column("marks", "remarks", "text"))
    return tuple(columns)


def _metrics(keys: set[str], gained: set[str]) -> Iterator[Column]:
    for m in METRICS:
        if m.key in keys:
            yield Column(m.key, m.title, decimals=m.decimals, detail=m.detail, lower=m.lower)
        if m.key in gained:
            detail = 1 if m.key in RANKING else max(2, m.detail)
            yield Column(f"{m.key}_gain", f"Δ {m.title}", "gain", m.decimals, detail, m.lower)
        if f"best_{m.key}" in keys:
            yield Column(f"best_{m.key}", f"best {m.title}", "best", m.decimals, max(1, m.detail))
