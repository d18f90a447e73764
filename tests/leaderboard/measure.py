"""Measure how fast the leaderboard is with many Records, on a machine that does nothing else meanwhile.

Run as ``python tests/leaderboard/measure.py [--count N] [--points N] [DIR]``. Records are made up below DIR, by
``make_records.py``; a DIR that holds some is taken as it is. Printed are seconds of the wall clock, the page's size,
and milliseconds from a key to the painted rows in Chromium, each beside what is meant to hold for 10,000 Records.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
from pathlib import Path

from conftest import Chromium, chromium
from make_records import write_records

WORDS = ["m1", "m1 net", "mixpro", "none such", "", "vit", "net2 m", ""]


def measure(folder: Path, out: Path) -> None:
    from mixpro_bench.leaderboard.index import load_index
    from mixpro_bench.leaderboard.json_view import write_json
    from mixpro_bench.leaderboard.latex import to_latex
    from mixpro_bench.leaderboard.page import write_html
    from mixpro_bench.leaderboard.table import build_tables
    from mixpro_bench.leaderboard.write import to_csv, to_markdown

    def lap(what: str, seconds: float, bound: str = "") -> None:
        print(f"{what:42}{seconds:8.2f} s  {bound}")

    gc.collect()
    start = time.perf_counter()
    index = load_index(folder)
    loaded = time.perf_counter()
    records = [record for _, record in index.records]
    tables = build_tables(records, baseline="none")
    built = time.perf_counter()
    to_markdown(tables), to_csv(tables), to_latex(tables)
    written = time.perf_counter()
    page = write_html(tables, records, out)
    paged = time.perf_counter()
    write_json(tables, records, out / "all.json")
    ended = time.perf_counter()
    print(f"{len(records)} Records, {sum(len(table.rows) for table in tables)} rows")
    lap("index", loaded - start)
    lap("tables", built - loaded)
    lap("Markdown, CSV, LaTeX", written - built)
    lap("index and all tables", written - start, "meant: under 5 s")
    lap("page", paged - written, "meant: under 10 s")
    lap("JSON", ended - paged)
    print(f"{'size of the page':42}{page.stat().st_size / 1e6:8.2f} MB  meant: at most 5 MB")
    if not chromium():
        print("no chromium is installed: filtering was not measured")
        return
    with tempfile.TemporaryDirectory() as profile:
        browser = Chromium(chromium(), Path(profile))
        try:
            start = time.perf_counter()
            browser.open(page)
            lap("page opened", time.perf_counter() - start)
            for what, script in (("", ""), (", all columns", "document.getElementById('all').click()")):
                browser.js(script)
                # Each word once more when the rows it needs have been made.
                for kind in ("first", "again"):
                    took = browser.filtering(WORDS)
                    print(
                        f"{f'filtering{what}, {kind}':42}{statistics.median(took):8.1f} ms, at most {max(took):.1f}  "
                        "meant: under 100 ms"
                    )
        finally:
            browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", nargs="?", type=Path, help="folder of Records; left out: a temporary one")
    parser.add_argument("--count", type=int, default=10_000, help="Records to make up")
    parser.add_argument("--points", type=int, default=100, help="points of their curves, at most")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.dir or Path(scratch, "records")
        if not folder.is_dir():
            write_records(folder, args.count, args.points)
        measure(folder, Path(scratch, "page"))
