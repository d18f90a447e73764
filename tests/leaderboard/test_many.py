"""The made-up Records: those kept in the tree, and ten thousand."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mixpro_bench.leaderboard.index import load_index
from mixpro_bench.leaderboard.table import build_tables
from mixpro_bench.leaderboard.write import to_csv, to_markdown

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
def test_ten_thousand_in_seconds(tmp_path):
    generate(tmp_path, 10_000)
    gc.collect()
    # CPU time, so that a busy machine does not fail the test; the bound is for a wall clock that is one's own.
    start = time.process_time()
    index = load_index(tmp_path)
    tables = build_tables((record for _, record in index.records), baseline="none")
    to_markdown(tables)
    to_csv(tables)
    assert time.process_time() - start < 5
    assert len(index.records) >= 10_000
    assert len(tables) == 1
    assert len(tables[0].rows) * 9 == len(index.records)
