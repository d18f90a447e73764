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
        ``{"tables": [{"title", "baseline", "ranked", "conditions", "columns", "rows", "notes"}], "records": {id:
        Record}}`` of primitives. A row's ``texts`` are its text cells by column key, its ``cells`` its numbers:
        ``mean``, ``sd``, ``low`` and ``high`` (the 95 % interval), ``n``, and against the baseline ``gain``,
        ``gain_low``, ``gain_high``, ``gain_n``, ``p`` (corrected) and ``detectable``; each None where not known.
    """
    return {
        "tables": [_table(table, number) for number, table in enumerate(tables, 1)],
        "records": {record_id(record): record.model_dump(mode="json") for record in records},
    }


def write_json(tables: Sequence[Table], records: Iterable[Record], path: str | os.PathLike[str]) -> Path:
    """Write `to_json` as a file."""
    text = json.dumps(to_json(tables, records), ensure_ascii=False, allow_nan=False, indent=1)
    return write_text_atomic(path, text + "\n")


def _table(table: Table, number: int) -> dict[str, Any]:
    return {
        "title": table.title,
        "baseline": table.baseline,
        "ranked": table.ranked,
        "conditions": [str(condition) for condition in table.conditions],
        "columns": [
            {"key": c.key, "title": c.title, "kind": c.kind, "decimals": c.decimals, "detail": c.detail}
            for c in table.columns
            if c.kind != "gain"  # the gains are parts of the cells
        ],
        "rows": [_row(row, f"t{number}-r{place}") for place, row in enumerate(table.rows, 1)],
        "notes": list(table.notes),
    }


def _row(row: Row, name: str) -> dict[str, Any]:
    return {
        "id": name,
        "backbone": row.backbone,
        "method": row.method,
        "preset": row.preset,
        "n": row.n,
        "rank": asdict(row.rank) if row.rank else None,
        "texts": dict(row.texts),
        "cells": {key: _cell(row, key) for key in row.cells},
        "marks": list(row.marks),
        "records": [record_id(record) for record in row.records],
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
