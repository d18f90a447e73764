"""From the Records of one method on one backbone to a row."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from mixpro_bench.leaderboard.marks import load_mark, marks_of
from mixpro_bench.leaderboard.metrics import METRICS, PARTS
from mixpro_bench.leaderboard.model import Row
from mixpro_bench.leaderboard.record import Record
from mixpro_bench.leaderboard.statistics import Summary, summarize, unit_of


def is_root(record: Record) -> bool:
    """Say whether a Record is that of a pretraining."""
    return record.stage == "pretrain"


def row_key(record: Record) -> tuple[str, str, str]:
    """Return what the Records of one row share, their size apart."""
    return (record.backbone, record.method.name, record.method.preset)


def make_row(records: Sequence[Record], size: str = "", best: bool = False) -> Row:
    """Join the Records of one row.

    Args:
        records: The Records, one at least.
        size: Their parameter and FLOP class.
        best: Whether the metrics of each run's best validation are wanted too.
    """
    cells: dict[str, Summary] = {}
    stages: dict[str, list[tuple[Hashable, Record]]] = {}
    for record in records:
        stages.setdefault(record.stage, []).append((unit_of(record), record))
    for metric in METRICS:
        runs = stages.get(metric.stage)
        if runs is None:
            continue
        # COCO's evaluator says -1 where the data has no object of a size; no metric here can be negative otherwise.
        found = [(unit, value) for unit, r in runs if (value := r.metrics.get(metric.raw, -1)) >= 0]
        _put(cells, metric.key, summarize((unit, metric.scale * value) for unit, value in found))
        if best:
            tops = [(unit, r.best.metrics.get(metric.raw, -1)) for unit, r in runs if r.best is not None]
            kept = [(unit, metric.scale * value) for unit, value in tops if value >= 0]
            _put(cells, f"best_{metric.key}", summarize(kept))
    for stage in stages.keys() - set(PARTS):
        costs: dict[str, list[tuple[Hashable, float]]] = {}
        for unit, record in stages[stage]:
            for name, value in _costs(record):
                costs.setdefault(name, []).append((unit, value))
        for name, values in costs.items():
            _put(cells, f"{stage}_{name}", summarize(values))
    sizes = [r for r in records if is_root(r) and r.model is not None]
    for key, scale in (("parameters", 1e-6), ("macs", 1e-9)):
        known = ((unit_of(r), scale * value) for r in sizes if (value := getattr(r.model, key)) is not None)
        _put(cells, key, summarize(known))
    n = max(len({unit for unit, _ in runs}) for runs in stages.values())
    first, marks = records[0], marks_of(records)
    name = first.method.name
    if first.method.preset != name:
        name += f" ({first.method.preset})"
    texts = {
        "backbone": first.backbone,
        "size": size,
        "method": name,
        "n": str(n),
        "load": load_mark(records),
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
        size,
        records=tuple(records),
    )


def _costs(record: Record) -> Iterator[tuple[str, float]]:
    """Yield what a run cost, by the end of the column's key; what was not measured is left out."""
    cost = record.cost
    if cost.images_per_s is not None:
        yield "images_per_s", cost.images_per_s
    if record.gpu_hours is not None:
        yield "gpu_hours", record.gpu_hours
    if cost.peak_memory_mb is not None:
        # What a GPU allocated and what a process holds are two things.
        of = (cost.model_extra or {}).get("peak_memory_of")
        gpu = of == "device" if of is not None else record.gpu_hours is not None
        yield "gpu_memory" if gpu else "memory", cost.peak_memory_mb / 1024
    yield "minutes", cost.wall_s / 60


def _put(cells: dict[str, Summary], key: str, summary: Summary | None) -> None:
    if summary is not None:
        cells[key] = summary
