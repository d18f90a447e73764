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
from mixpro_bench.leaderboard.json_view import to_json
from mixpro_bench.leaderboard.record import Record
from mixpro_bench.leaderboard.table import Table

STATIC = Path(__file__).parent / "static"


def to_html(tables: Sequence[Table], records: Iterable[Record]) -> str:
    """Return the page: style, script and data in one document.

    The data is packed (gzip in base64): ten thousand Records stay small, and no name in them can end a tag. A content
    security policy allows this one style and script by their hashes and no request to anywhere.
    """
    document = to_json(tables, records)
    document["tables"] = _short(document["tables"])
    style = _text("page.css")
    script = _text("plots.js") + _text("page.js")
    return Template(_text("template.html")).substitute(
        style=style,
        script=script,
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
        data=_packed(document),
    )


def write_html(tables: Sequence[Table], records: Iterable[Record], folder: str | os.PathLike[str]) -> Path:
    """Write the page as ``index.html`` into ``folder``, which any static host can serve."""
    return write_text_atomic(Path(folder) / "index.html", to_html(tables, records))


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
