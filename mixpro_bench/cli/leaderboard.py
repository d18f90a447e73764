"""``mixpro-bench leaderboard DIR``: tables from a folder of Records."""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("dir", help="folder whose Records are shown, with all folders below")
    parser.add_argument("--markdown", metavar="FILE", help="also write the tables as Markdown")
    parser.add_argument("--csv", metavar="FILE", help="also write the tables as CSV, one line per row")
    parser.add_argument("--html", metavar="DIR", help="also write the tables as a page, DIR/index.html")


def run(args: argparse.Namespace) -> int:
    """Print the tables and write the files asked for."""
    from mixpro_bench.leaderboard.index import load_index
    from mixpro_bench.leaderboard.table import build_tables
    from mixpro_bench.leaderboard.write import print_tables, write_csv, write_markdown

    index = load_index(args.dir)
    for _, reason in index.bad:
        print(f"left out: {reason}", file=sys.stderr)
    tables = build_tables(record for _, record in index.records)
    print_tables(tables)
    for path, write in ((args.markdown, write_markdown), (args.csv, write_csv)):
        if path:
            print(f"written: {write(tables, path)}")
    if args.html:
        from mixpro_bench.leaderboard.page import write_html

        print(f"written: {write_html(tables, (record for _, record in index.records), args.html)}")
    return 0
