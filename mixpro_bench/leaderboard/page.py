"""The leaderboard as one HTML file that works without a network."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any

from mixpro_bench.files import write_text_atomic
from mixpro_bench.leaderboard.curves import Curves
from mixpro_bench.leaderboard.json_view import Names, tables_as_json
from mixpro_bench.leaderboard.record import Record
from mixpro_bench.leaderboard.responses import responses_of
from mixpro_bench.leaderboard.table import Table

STATIC = Path(__file__).parent / "static"
SCRIPTS = ("plots.js", "lines.js", "curves.js", "responses.js", "page.js")


def to_html(tables: Sequence[Table], records: Iterable[Record]) -> str:
    """Return the page: style, script and data in one document.

    The data is packed (gzip in base64): ten thousand Records stay small, and no name in them can end a tag. A content
    security policy allows this one style and script by their hashes and no request to anywhere.
    """
    style = _text("page.css")
    script = "".join(map(_text, SCRIPTS))
    return Template(_text("template.html")).substitute(
        style=style,
        script=script,
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
        data=_packed(_document(tables, records)),
    )


def write_html(tables: Sequence[Table], records: Iterable[Record], folder: str | os.PathLike[str]) -> Path:
    """Write the page as ``index.html`` into ``folder``, which any static host can serve."""
    return write_text_atomic(Path(folder) / "index.html", to_html(tables, records))


def _document(tables: Sequence[Table], records: Iterable[Record]) -> dict[str, Any]:
    """Return what the page is told: as the JSON file, but for curves, which it has row by row and with fewer points."""
    names = Names()
    told = _short(tables_as_json(tables, names))
    curves = Curves([row for table in tables for row in table.rows])
    for table, as_json in zip(tables, told, strict=True):
        for row, line in zip(table.rows, as_json["rows"], strict=True):
            line["curves"] = curves.of(row)
            line["responses"] = responses_of(row)
    known = {
        names.of(record): record.model_dump(mode="json", exclude={"series": True, "curves": True, "best": {"metrics"}})
        for record in records
    }
    return {"tables": told, "grids": curves.grids, "records": known}


def _text(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _short(value: Any) -> Any:
    """Round to ten digits: more than is shown, and smaller; full numbers are in the JSON file."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, dict):
        return {key: _short(inner) for key, inner in value.items()}
    return [_short(inner) for inner in value] if isinstance(value, list) else value


def _packed(document: dict[str, Any]) -> str:
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Without a time stamp: the same Records give the same page.
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=9, mtime=0)).decode()
