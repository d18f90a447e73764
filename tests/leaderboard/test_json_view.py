"""The JSON document: its shape, and that it names the Records it was made of."""

from __future__ import annotations

import json

from mixpro_bench.leaderboard.json_view import to_json, write_json
from mixpro_bench.leaderboard.record import record_from, record_id
from mixpro_bench.leaderboard.table import build_tables


def test_tables_and_records_survive_the_file(chain, tmp_path):
    records = [*chain("mixpro"), *chain("mixpro", seed=1), *chain("Ünï<script>")]
    tables = build_tables(records)
    document = to_json(tables, records)
    assert json.loads(write_json(tables, records, tmp_path / "a.json").read_text()) == document
    (table,) = document["tables"]
    assert {column["key"] for column in table["columns"]} >= {"backbone", "method", "n", "top1", "box_ap", "miou"}
    row = next(row for row in table["rows"] if row["method"] == "mixpro")
    assert (row["backbone"], row["preset"], row["n"], row["marks"]) == ("vit", "mixpro", 2, [])
    cell = row["cells"]["top1"]
    assert (cell["mean"], cell["sd"], cell["low"], cell["high"], cell["n"]) == (90.0, 0.0, 90.0, 90.0, 2)
    assert (cell["gain"], cell["p"]) == (None, None)
    assert len({row["id"] for row in table["rows"]}) == 2
    assert sorted(row["records"]) == sorted(record_id(record) for record in records[:6])
    assert {name: record_from(data) for name, data in document["records"].items()} == {
        record_id(record): record for record in records
    }


def test_one_seed_has_no_interval(chain):
    records = chain()
    cell = to_json(build_tables(records), records)["tables"][0]["rows"][0]["cells"]["top1"]
    assert (cell["sd"], cell["low"], cell["high"], cell["n"]) == (None, None, None, 1)
