"""``mixpro-bench leaderboard DIR``: tables from a folder of Records."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixpro_bench.leaderboard.index import Index
    from mixpro_bench.leaderboard.model import Table
    from mixpro_bench.leaderboard.record import Record

MOST_COARSE = 40  # draws of which one lies beyond each end of a 95 % interval


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("dir", help="folder whose Records are shown, with all folders below")
    parser.add_argument("--markdown", metavar="FILE", help="also write the tables as Markdown")
    parser.add_argument("--csv", metavar="FILE", help="also write the tables as CSV, one line per row")
    parser.add_argument("--latex", metavar="FILE", help="also write the tables as LaTeX, ready for a paper")
    parser.add_argument("--json", metavar="FILE", help="also write the tables and their Records as JSON")
    parser.add_argument("--baseline", metavar="NAME", help="method or preset that gains are measured against")
    parser.add_argument(
        "--best",
        action="store_true",
        help="also show each run's best validation, in columns of their own; rows are ranked by the last checkpoint",
    )
    parser.add_argument(
        "--bootstrap",
        type=int,
        metavar="N",
        help="also show intervals of AP and mIoU over the validation images, from N draws of them with replacement; of "
        "runs that kept their predictions: those their Record names, or those that 'mixpro-bench evaluate RUN --dump "
        "RUN/predictions' wrote; 1000 is usual",
    )
    parser.add_argument("--published", action="store_true", help="also show published numbers, in a table of their own")
    parser.add_argument("--html", metavar="DIR", help="also write the tables as a page, DIR/index.html")


def run(args: argparse.Namespace) -> int:
    """Print the tables and write the files asked for."""
    from mixpro_bench.leaderboard.index import load_index
    from mixpro_bench.leaderboard.json_view import write_json
    from mixpro_bench.leaderboard.latex import write_latex
    from mixpro_bench.leaderboard.table import build_tables
    from mixpro_bench.leaderboard.write import print_tables, write_csv, write_markdown

    index = load_index(args.dir)
    for _, reason in index.bad:
        print(f"left out: {reason}", file=sys.stderr)
    for path, original in index.copies:
        print(f"left out: {path} is a copy of {original}", file=sys.stderr)
    for sentence in index.contradictions:
        print(f"warning: {sentence}", file=sys.stderr)
    records = [record for _, record in index.records]
    tables = build_tables(records, baseline=args.baseline, best=args.best)
    if args.bootstrap is not None:
        tables = _with_intervals(tables, index, args.bootstrap)
    if args.published:
        from mixpro_bench.leaderboard.published import published_table

        tables.append(published_table())
    print_tables(tables)
    for path, write in ((args.markdown, write_markdown), (args.csv, write_csv), (args.latex, write_latex)):
        if path:
            print(f"written: {write(tables, path)}")
    if args.json:
        print(f"written: {write_json(tables, records, args.json)}")
    if args.html:
        from mixpro_bench.leaderboard.page import write_html

        print(f"written: {write_html(tables, records, args.html)}")
    return 0


def _with_intervals(tables: list[Table], index: Index, draws: int) -> list[Table]:
    """Add intervals over images, with a bar on standard error."""
    from rich.console import Console
    from rich.progress import Progress

    from mixpro_bench.errors import UserError
    from mixpro_bench.leaderboard.over_images import add_intervals

    if draws < MOST_COARSE:
        raise UserError(
            f"--bootstrap {draws}: give at least {MOST_COARSE} draws, of which 95 % mean something; 1000 is usual"
        )
    folders = {id(record): path.parent for path, record in index.records}
    with Progress(console=Console(stderr=True), transient=True) as progress:

        def track(records: Sequence[Record]) -> Iterator[tuple[Record, Callable[[int], None]]]:
            bar = progress.add_task("images drawn", total=draws * len(records))
            for number, record in enumerate(records, 1):
                yield record, lambda count: progress.advance(bar, count)
                progress.update(bar, completed=number * draws)

        tables, problems = add_intervals(tables, folders, draws, track)
    for sentence in problems:
        print(f"no interval over images: {sentence}", file=sys.stderr)
    if not any(row.images for table in tables for row in table.rows):
        print(
            "no interval over images: of no row have all runs kept their predictions; make them with "
            "'mixpro-bench evaluate RUN --dump RUN/predictions'",
            file=sys.stderr,
        )
    return tables
