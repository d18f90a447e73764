"""Published numbers, each with its class and source: shown beside what was measured here, never ranked with it."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mixpro_bench.leaderboard.metrics import METRICS
from mixpro_bench.leaderboard.model import Column, Row, Table
from mixpro_bench.leaderboard.statistics import Summary

PATH = Path(__file__).with_name("published.csv")
CLASSES = {
    "paper abstract": "by the authors, read in the abstract",
    "paper, quoted by others": "by the authors, read where others quote it",
    "official README": "by the authors, in the README of their code",
    "framework's model zoo": "trained by a framework's maintainers",
    "third-party re-run": "another implementation, by others",
}


@dataclass(frozen=True)
class Published:
    """One number as it was seen in a source.

    Attributes:
        backbone: As the source calls it.
        method: The same.
        metric: Key of one of `mixpro_bench.leaderboard.metrics.METRICS`.
        value: In percent.
        setting: Data and schedule.
        kind: One of `CLASSES`.
        source: Where it was seen.
        remark: What a reader must know.
    """

    backbone: str
    method: str
    metric: str
    value: float
    setting: str
    kind: str
    source: str
    remark: str


@cache
def published_numbers() -> tuple[Published, ...]:
    """Return all published numbers of the package, in the order of the file."""
    with PATH.open(encoding="utf-8", newline="") as stream:
        return tuple(
            Published(
                line["backbone"],
                line["method"],
                line["metric"],
                float(line["value"]),
                line["setting"],
                line["class"],
                line["source"],
                line["remark"],
            )
            for line in csv.DictReader(stream)
        )


def published_table() -> Table:
    """Return the published numbers as a table of its own; its rows stand in the order of the file and have no rank."""
    groups: dict[tuple[str, ...], list[Published]] = {}
    for one in published_numbers():
        key = (one.backbone, one.method, one.setting, one.kind, one.source, one.remark)
        groups.setdefault(key, []).append(one)
    rows = []
    for (backbone, method, setting, kind, source, remark), numbers in groups.items():
        texts = {"backbone": backbone, "method": method, "setting": setting, "class": kind, "source": source}
        texts["marks"] = remark
        cells = {one.metric: Summary(one.value, None, 0, 0) for one in numbers}
        marks = ("published", *([remark] if remark else []))
        rows.append(Row(texts, cells, 0, marks, backbone, method, method))
    used = {one.metric for one in published_numbers()}
    columns = (
        Column("backbone", "backbone", "text"),
        Column("method", "method", "text"),
        *(Column(m.key, m.title, decimals=m.decimals, detail=m.detail) for m in METRICS if m.key in used),
        Column("setting", "setting", "text"),
        Column("class", "class", "text", detail=1),
        Column("source", "source", "text", detail=1),
        Column("marks", "remarks", "text", detail=2),
    )
    notes = [f"{kind}: {meaning}" for kind, meaning in CLASSES.items()]
    notes.insert(
        0, "not measured here: other recipes, other code, one number each; not to be ranked with the rows above"
    )
    return Table("Published numbers", (), columns, tuple(rows), tuple(notes), ranked=False)
