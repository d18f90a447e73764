"""The outputs of a table: terminal, Markdown and CSV. What they show is decided in the table, not here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from mixpro_bench.files import write_text_atomic
from mixpro_bench.leaderboard.model import SPREAD, Column, Table, format_cell

# What a file says of a gain: suffix of the column -> attribute.
GAIN_FIELDS = {"": "effect", "_low": "low", "_high": "high", "_n": "n", "_p": "p", "_detectable": "detectable"}


def to_markdown(tables: Sequence[Table]) -> str:
    """Return the tables as Markdown, each under its conditions."""
    parts = ["# Leaderboard"]
    for table in tables:
        frame = pd.DataFrame(
            [[_plain(format_cell(row, column)) for column in table.columns] for row in table.rows],
            columns=[column.title for column in table.columns],
        )
        align = ["left" if column.kind == "text" else "right" for column in table.columns]
        lines = [f"## {_plain(table.title)}", "", frame.to_markdown(index=False, colalign=align, disable_numparse=True)]
        lines += ["", *(f"- {_plain(str(condition))}" for condition in table.conditions)]
        lines += [f"- {note}" for note in table.notes]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def to_csv(tables: Sequence[Table]) -> str:
    """Return all tables as one CSV: a line per row, and for each number its mean, spread, interval and n."""
    lines = []
    for number, table in enumerate(tables, 1):
        for row in table.rows:
            line: dict[str, Any] = {"table": number, "conditions": " | ".join(map(str, table.conditions))}
            for column in table.columns:
                if column.kind == "text":
                    line[column.key] = row.texts.get(column.key, "")
                    continue
                if column.kind == "gain":
                    gain = row.gains.get(column.key.removesuffix("_gain"))
                    line |= {f"{column.key}{suffix}": getattr(gain, name, None) for suffix, name in GAIN_FIELDS.items()}
                    continue
                if column.kind == "interval":
                    interval = row.images.get(column.key.removesuffix("_images"))
                    line[f"{column.key}_low"] = interval.low if interval else None
                    line[f"{column.key}_high"] = interval.high if interval else None
                    continue
                cell = row.cells.get(column.key)
                line[column.key] = cell.mean if cell else None
                line[f"{column.key}_sd"] = cell.sd if cell else None
                if column.kind in SPREAD:
                    line[f"{column.key}_low"] = cell.low if cell else None
                    line[f"{column.key}_high"] = cell.high if cell else None
                line[f"{column.key}_n"] = cell.n if cell else 0
            lines.append(line)
    frame = pd.DataFrame(lines)
    counts = [name for name in frame.columns if name.endswith("_n")]
    # Tables need not have the same columns: what a table does not know was measured 0 times.
    frame[counts] = frame[counts].fillna(0).astype(int)
    return frame.to_csv(index=False, lineterminator="\n")


def print_tables(tables: Sequence[Table], console: Console | None = None) -> None:
    """Print the tables; where the terminal is too narrow, the columns of detail are left out and the note says so."""
    console = console or Console()
    for table in tables:
        columns = list(table.columns)
        width = {column.key: _width(table, column) for column in columns}
        needed = sum(width.values()) + 1
        # The most detailed columns go first, of those the last.
        order = sorted(columns, key=lambda column: (column.detail, columns.index(column)))
        while needed > console.width and order[-1].detail > 0:
            needed -= width[order.pop().key]
        dropped = [column.title for column in columns if column not in order]
        shown = _rich(table, [column for column in columns if column in order])
        if dropped:
            shown.caption = f"{shown.caption or ''}\nno room here for: {escape(', '.join(dropped))}".strip()
        if needed > console.width:
            # Better a cell over two lines than a number cut short.
            for column in shown.columns:
                column.no_wrap = False
        console.print(shown)


def write_markdown(tables: Sequence[Table], path: str | os.PathLike[str]) -> Path:
    """Write the tables as a Markdown file."""
    return write_text_atomic(path, to_markdown(tables))


def write_csv(tables: Sequence[Table], path: str | os.PathLike[str]) -> Path:
    """Write the tables as a CSV file."""
    return write_text_atomic(path, to_csv(tables))


def _width(table: Table, column: Column) -> int:
    """Return how wide a column is in the terminal, its margins and one border with it."""
    texts = [column.title, *(format_cell(row, column) for row in table.rows)]
    return 3 + max(cell_len(line) for text in texts for line in (text.splitlines() or [""]))


def _rich(table: Table, columns: Sequence[Column]) -> RichTable:
    caption = escape("\n".join(table.notes)) or None
    shown = RichTable(title=escape(table.title), caption=caption, title_justify="left", caption_justify="left")
    for column in columns:
        text = column.kind == "text"
        shown.add_column(escape(column.title), justify="left" if text else "right", no_wrap=not text)
    for row in table.rows:
        shown.add_row(*(escape(format_cell(row, column)) for column in columns))
    return shown


def _plain(text: str) -> str:
    """Keep a name from ending a cell, starting a tag or breaking a line."""
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("\n", " ")):
        text = text.replace(character, entity)
    return text
