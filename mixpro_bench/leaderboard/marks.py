"""What a reader must know about a row before believing it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from mixpro_bench.leaderboard.metrics import PARTS
from mixpro_bench.leaderboard.model import deviations_of
from mixpro_bench.leaderboard.record import Record, identity

MEANINGS = {
    "dirty": "the code had changes that are in no commit",
    "mixed commits": "the runs of the row were made by different versions of the code",
    "off protocol": "a run left the protocol it names; what it changed stands in its conditions",
    "data check failed": "the check of the data found faults before a run",
    "weights incomplete": "not every pretrained parameter was found in the checkpoint",
    "contradictory": "runs of the same settings, seed, data and weights gave different numbers; all of them count",
    "no load audit": "it is not known which pretrained weights were loaded",
    "mixed sizes": "the runs of the row are of models of different sizes",
    "mixed devices": "runs of one stage were made on different devices, so their mean cost is that of no device",
}


def marks_of(records: Sequence[Record]) -> list[str]:
    """Return the marks of the row that these Records make, keys of `MEANINGS` but for what was not finite."""
    marks = []
    if any(r.provenance.dirty for r in records):
        marks.append("dirty")
    if any(deviations_of(r) for r in records):
        marks.append("off protocol")
    if any(r.data_check == "failed" for r in records):
        marks.append("data check failed")
    if any(r.provenance.load_audit and not r.provenance.load_audit.complete for r in records):
        marks.append("weights incomplete")
    transfers = [r for r in records if r.stage != "pretrain" and r.stage not in PARTS]
    if any(r.provenance.upstream_sha256 and not r.provenance.load_audit for r in transfers):
        marks.append("no load audit")
    lost = sorted({str(name) for r in records for name in (r.model_extra or {}).get("not_finite", ())})
    if lost:
        marks.append(f"not finite: {', '.join(lost)}")
    if contradictions(records):
        marks.append("contradictory")
    sizes = {(r.model.parameters, r.model.macs) for r in records if r.stage == "pretrain" and r.model is not None}
    if len(sizes) > 1:
        marks.append("mixed sizes")
    if len({r.provenance.commit for r in records}) > 1:
        marks.append("mixed commits")
    devices = {(r.stage, r.provenance.device) for r in records}
    if len(devices) > len({r.stage for r in records}):
        marks.append("mixed devices")
    return marks


def load_mark(records: Sequence[Record]) -> str:
    """Return the worst load audit of a row's transfers, empty if there is none."""
    audits = [r.provenance.load_audit for r in records if r.stage != "pretrain"]
    found = [audit for audit in audits if audit is not None]
    if not found:
        return ""
    worst = min(found, key=lambda audit: audit.share)
    mark = "ok" if all(audit.complete for audit in found) else "INCOMPLETE"
    # Rounded down: 99.96 % must not read as 100.
    return f"{mark} {int(worst.share * 1000) / 10:g}%"


def contradictions(records: Iterable[Record]) -> list[tuple[Record, Record]]:
    """Return the pairs of Records that should be equal (`identity`) but have different metrics."""
    first: dict[Hashable, Record] = {}
    return [
        (other, record)
        for record in records
        if (other := first.setdefault(identity(record), record)).metrics != record.metrics
    ]
