"""The made-up Records: those kept in the tree, and ten thousand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mixpro_bench.leaderboard.index import load_index
from mixpro_bench.leaderboard.page import write_html
from mixpro_bench.leaderboard.table import build_tables
from mixpro_bench.leaderboard.write import to_csv

GENERATOR = Path(__file__).parent / "make_records.py"
KEPT = Path(__file__).parents[1] / "data" / "records"


def generate(folder, count, *options):
    subprocess.run([sys.executable, GENERATOR, folder, "--count", str(count), *options], check=True)


def test_those_kept_in_the_tree_are_the_generators(tmp_path):
    generate(tmp_path, 60, "--points", "8", "--configs")
    made, kept = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path, KEPT)
    )
    assert made == kept


@pytest.mark.slow
@pytest.mark.browser
def test_ten_thousand(browser, tmp_path):
    # How long it takes is measured by measure.py, on a machine that does nothing else meanwhile.
    generate(tmp_path / "runs", 10_000)
    index = load_index(tmp_path / "runs")
    records = [record for _, record in index.records]
    assert len(records) >= 10_000
    tables = build_tables(records, baseline="none")
    (table,) = tables
    assert len(table.rows) * 9 == len(records)
    assert len(to_csv(tables).splitlines()) == 1 + len(table.rows)
    page = write_html(tables, records, tmp_path / "page")
    assert page.stat().st_size < 5e6
    browser.open(page)
    count = "document.getElementById('count').textContent"
    assert browser.js(count) == f"{len(table.rows)} of {len(table.rows)} rows"
    assert browser.js("document.querySelectorAll('.rows tbody tr').length") == 50
    browser.filtering(["mixpro vit_digits"])
    assert browser.js(count) == f"1 of {len(table.rows)} rows"
    browser.until("document.querySelectorAll('.course figure').length > 0")
    browser.js("document.querySelector('.rows tbody button').click()")
    assert "Runs (9)" in browser.js("document.getElementById('detail').textContent")
    assert browser.errors == []
