"""The tables and the Records behind them as one JSON document: what the page embeds and other programs read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mixpro_bench.files import write_text_atomic
from mixpro_bench.leaderboard.model import Row, Table
from mixpro_bench.leaderboard.record import Record, record_id


def to_json(tables: Sequence[Table], records: Iterable[Record]) -> dict[str, Any]:
    """Return the tables with full numbers and, by id, every Record.

    Args:
        tables: What `mixpro_bench.leaderboard.table.build_tables` made of the Records.
        records: The Records themselves; a row names its own by `mixpro_bench.leaderboard.record.record_id`.

    Returns:
        ``{"tables": [{"title", "baseline", "ranked", "conditions", "protocols", "columns", "rows", "notes"}],
        "records": {id: Record}}`` of primitives. A row's ``texts`` are its text cells by column key, its ``cells`` its
        numbers: ``mean``, ``sd``, ``low`` and ``high`` (the 95 % interval), ``n``, and against the baseline ``gain``,
        ``gain_low``, ``gain_high``, ``gain_n``, ``p`` (corrected) and ``detectable``; each None where not known. Its
        ``images`` are intervals over validation images, by column key and by that with ``_gain`` behind it.
    """
    names = Names()
    return {
        "tables": tables_as_json(tables, names),
        "records": {names.of(record): record.model_dump(mode="json") for record in records},
    }


def write_json(tables: Sequence[Table], records: Iterable[Record], path: str | os.PathLike[str]) -> Path:
    """Write `to_json` as a file, a line for each Record."""
    names = Names()
    head = json.dumps(tables_as_json(tables, names), ensure_ascii=False, allow_nan=False, indent=1)
    # Not by way of dicts: pydantic writes a Record ten times as fast.
    lines = ",\n".join(f"{json.dumps(names.of(record))}: {record.model_dump_json()}" for record in records)
    return write_text_atomic(path, f'{{"tables": {head},\n"records": {{\n{lines}\n}}}}\n')


class Names:
    """Names of Records (`mixpro_bench.leaderboard.record.record_id`), each made once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Record, str]] = {}

    def of(self, record: Record) -> str:
        """Return the name of a Record, which may not change meanwhile."""
        # The Record is kept beside its name, as another object could get the number of one that is gone.
        known = self._known.get(id(record))
        if known is None:
            known = self._known[id(record)] = (record, record_id(record))
        return known[1]


def tables_as_json(tables: Sequence[Table], names: Names) -> list[dict[str, Any]]:
    """Return the tables alone, as `to_json`."""
    return [_table(table, number, names) for number, table in enumerate(tables, 1)]


def _table(table: Table, number: int, names: Names) -> dict[str, Any]:
    return {
        "title": table.title,
        "baseline": table.baseline,
        "ranked": table.ranked,
        "conditions": [str(condition) for condition in table.conditions],
        "protocols": [condition.agreed for condition in table.conditions],
        "columns": [
            {
                "key": c.key,
                "title": c.title,
                "kind": c.kind,
                "decimals": c.decimals,
                "detail": c.detail,
                "lower": c.lower,
            }
            for c in table.columns
            if c.kind != "gain" and not c.key.endswith("_gain_images")  # parts of the cells and of the images
        ],
        "rows": [_row(row, f"t{number}-r{place}", names) for place, row in enumerate(table.rows, 1)],
        "notes": list(table.notes),
    }


def _row(row: Row, name: str, names: Names) -> dict[str, Any]:
    return {
        "id": name,
        "backbone": row.backbone,
        "method": row.method,
        "preset": row.preset,
        "size": row.size,
        "n": row.n,
        "rank": asdict(row.rank) if row.rank else None,
        "texts": dict(row.texts),
        "cells": {key: _cell(row, key) for key in row.cells},
        "images": {key: asdict(interval) for key, interval in row.images.items()},
        "marks": list(row.marks),
        "records": [names.of(record) for record in row.records],
    }


def _cell(row: Row, key: str) -> dict[str, Any]:
    cell, gain = row.cells[key], row.gains.get(key)
    return {
        "mean": cell.mean,
        "sd": cell.sd,
        "low": cell.low,
        "high": cell.high,
        "n": cell.n,
        "runs": cell.runs,
        "gain": gain.effect if gain else None,
        "gain_low": gain.low if gain else None,
        "gain_high": gain.high if gain else None,
        "gain_n": gain.n if gain else None,
        "p": gain.p if gain else None,
        "detectable": gain.detectable if gain else None,
    }
