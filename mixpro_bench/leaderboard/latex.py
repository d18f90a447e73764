"""The tables as LaTeX for a paper: booktabs, the best of a column bold, the second underlined, ± shown."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from string import ascii_lowercase

from mixpro_bench.files import write_text_atomic
from mixpro_bench.leaderboard.model import Column, Row, Table, format_cell

# Columns of more detail than this do not fit a page.
DETAIL = 1
LEFT_OUT = ("marks",)

_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "$": r"\$",
        "&": r"\&",
        "%": r"\%",
        "#": r"\#",
        "_": r"\_",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "±": r"$\pm$",
        "Δ": r"$\Delta$",
        "\n": " ",
        "\r": " ",
    }
)


def to_latex(tables: Sequence[Table]) -> str:
    r"""Return the tables as floats that need only ``\usepackage{booktabs}``."""
    parts = ["% Needs \\usepackage{booktabs}; bold: best of the column on that backbone, underlined: second."]
    parts += [_table(table, number) for number, table in enumerate(tables, 1)]
    return "\n\n".join(parts) + "\n"


def write_latex(tables: Sequence[Table], path: str | os.PathLike[str]) -> Path:
    """Write the tables as a LaTeX file."""
    return write_text_atomic(path, to_latex(tables))


def _table(table: Table, number: int) -> str:
    columns = [column for column in table.columns if column.detail <= DETAIL and column.key not in LEFT_OUT]
    places = _places(table.rows, columns) if table.ranked else {}
    # Of published numbers each is marked as such; the table says so once.
    letters = _letters(table.rows) if table.ranked else {}
    lines = []
    for _, group in groupby(enumerate(table.rows), key=lambda item: item[1].group):
        lines += ["    \\midrule"]
        for place, row in group:
            cells = [_cell(row, column, places.get((place, column.key))) for column in columns]
            if raised := ",".join(letters[mark] for mark in row.marks if mark in letters):
                at = next(number for number, column in enumerate(columns) if column.key == "method")
                cells[at] += rf"\textsuperscript{{{raised}}}"
            # A bracket at the start of a line would be an argument of the line break before it.
            lines.append("    " + "{}" * cells[0].startswith("[") + " & ".join(cells) + r" \\")
    align = "".join("l" if column.kind == "text" else "r" for column in columns)
    signs = [f"({letter}) {mark}" for mark, letter in letters.items()]
    below = " ".join(f"{note[0].upper()}{note[1:]}." for note in (*table.notes, ", ".join(signs)) if note)
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{{_escape(table.title)}}}",
            f"  \\label{{tab:leaderboard-{number}}}",
            f"  \\begin{{tabular}}{{{align}}}",
            r"    \toprule",
            "    " + " & ".join(_escape(column.title) for column in columns) + r" \\",
            *lines,
            r"    \bottomrule",
            r"  \end{tabular}",
            rf"  \par\smallskip\parbox{{\linewidth}}{{\footnotesize {_escape(below)}}}",
            r"\end{table}",
        ]
    )


def _letters(rows: Sequence[Row]) -> dict[str, str]:
    """Return a letter, or a number where there are too many, for each mark of the rows."""
    marks = list(dict.fromkeys(mark for row in rows for mark in row.marks))
    return {mark: ascii_lowercase[k] if k < len(ascii_lowercase) else str(k + 1) for k, mark in enumerate(marks)}


def _places(rows: Sequence[Row], columns: Sequence[Column]) -> dict[tuple[int, str], str]:
    """Return the command for the best and the second best mean of each column among rows of one group.

    Means that look the same as printed share a place; a row without a rival has none.
    """
    marks = {}
    for column in columns:
        if column.kind != "number":
            continue
        for group in {row.group for row in rows}:
            shown = {
                place: round(row.cells[column.key].mean, column.decimals)
                for place, row in enumerate(rows)
                if row.group == group and column.key in row.cells
            }
            if len(shown) < 2:
                continue
            first = min if column.lower else max
            best = first(shown.values())
            # With two firsts there is no second.
            rest = [value for value in shown.values() if value != best] if list(shown.values()).count(best) == 1 else []
            for place, value in shown.items():
                if value == best:
                    marks[place, column.key] = r"\textbf"
                elif rest and value == first(rest):
                    marks[place, column.key] = r"\underline"
    return marks


def _cell(row: Row, column: Column, mark: str | None) -> str:
    text = format_cell(row, column)
    if mark is None:
        return _escape(text)
    mean, *spread = text.split(" ", 1)
    return " ".join([f"{mark}{{{_escape(mean)}}}", *map(_escape, spread)])


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)
