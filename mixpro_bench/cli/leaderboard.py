"""``mixpro-bench leaderboard DIR``: tables from a folder of Records."""

from __future__ import annotations

import argparse
import sys


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
