"""The remarks below a table: what its signs mean, what so many seeds can show, and whether it transfers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mixpro_bench.leaderboard.correlation import correlation_notes
from mixpro_bench.leaderboard.gains import transfer_summary
from mixpro_bench.leaderboard.marks import MEANINGS
from mixpro_bench.leaderboard.metrics import METRICS, PARTS, RANKING
from mixpro_bench.leaderboard.model import Conditions, Row
from mixpro_bench.protocols import PROTOCOLS


def notes_of(
    rows: Sequence[Row], conditions: Sequence[Conditions], baseline: str | None, rank: str | None, best: bool
) -> tuple[str, ...]:
    """Return the remarks on a table.

    Args:
        rows: Its rows, with gains and ranks.
        conditions: What they share.
        baseline: What gains are measured against, None if there are none.
        rank: Key of the column that rows are ranked by, None if there is none.
        best: Whether there are columns of the best validation.
    """
    notes = [] if baseline is None else transfer_summary(rows)
    notes += correlation_notes(rows)
    if any(row.n == 1 for row in rows):
        notes.append("n=1: one pretraining seed, so no spread is known")
    if any(row.n > 1 for row in rows):
        notes.append("± is the standard deviation over pretraining seeds (n)")
    if baseline is not None:
        notes.append(f"Δ: mean difference to {baseline} over common seeds [95 % interval], p by Holm's correction")
        notes += _detectable(rows)
    if any(row.rank for row in rows):
        title = next((metric.title for metric in METRICS if metric.key == rank), "")
        notes.append(f"rank: place in {title}, and where 95 % of resamples of the seeds put it")
    if best:
        notes.append("best: of a run's best validation, chosen by what it is measured on; neither ranked nor compared")
    notes += _of_protocols(conditions)
    marks = {mark for row in rows for mark in row.marks}
    notes += [f"{mark}: {meaning}" for mark, meaning in MEANINGS.items() if mark in marks]
    return tuple(notes)


def _detectable(rows: Sequence[Row]) -> Iterator[str]:
    """Say how large an effect had to be to be seen; the largest of the rows, as that is what none can fall behind."""
    for metric in METRICS:
        found = [row.gains[metric.key] for row in rows if metric.key in row.gains]
        sizes = [gain.detectable for gain in found if gain.detectable is not None]
        if metric.key in RANKING and sizes:
            low, high = (f"{size:.{metric.decimals}f}" for size in (min(sizes), max(sizes)))
            span = low if low == high else f"{low} to {high}, depending on the row"
            yield f"smallest gain in {metric.title} that so many seeds show with power 0.8: {span}"


def _of_protocols(conditions: Sequence[Conditions]) -> Iterator[str]:
    """Say which protocols are none of this package, and which are too short to be held against published numbers."""
    for one in conditions:
        known = PROTOCOLS.get((one.protocol, one.version))
        name = f"{one.protocol} v{one.version}"
        if one.stage in PARTS:
            continue
        if known is None:
            yield f"{name} is no protocol of this package: what it fixes is not known here"
        elif not known.claims:
            yield f"{name} is for development: not to be held against published numbers"
