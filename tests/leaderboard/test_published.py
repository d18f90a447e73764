"""Published numbers: each with a source and a class, and never ranked."""

from __future__ import annotations

import csv
import io

from mixpro_bench.cli.main import main
from mixpro_bench.leaderboard import write_record
from mixpro_bench.leaderboard.latex import to_latex
from mixpro_bench.leaderboard.metrics import METRICS
from mixpro_bench.leaderboard.published import CLASSES, published_numbers, published_table
from mixpro_bench.leaderboard.write import to_csv


def test_each_number_has_its_class_and_source():
    numbers = published_numbers()
    assert len(numbers) > 100
    assert {one.kind for one in numbers} == set(CLASSES)
    assert {one.metric for one in numbers} <= {metric.key for metric in METRICS}
    assert all(one.source and one.setting and 30 < one.value < 100 for one in numbers)
    keys = [(one.backbone, one.method, one.metric, one.setting, one.source) for one in numbers]
    assert len(set(keys)) == len(keys)


def test_some_by_hand():
    values = {(one.backbone, one.method, one.metric, one.kind): one.value for one in published_numbers()}
    assert values["DeiT-T", "MixPro", "top1", "paper abstract"] == 73.8
    assert values["DeiT-S", "MixPro", "top1", "third-party re-run"] == 79.33
    assert values["DeiT-T", "SMMix", "top1", "official README"] == 73.6


def test_they_are_never_ranked():
    table = published_table()
    assert not table.ranked
    assert all(row.rank is None and not row.gains and row.n == 0 and "published" in row.marks for row in table.rows)
    text = to_latex([table])
    assert "\\textbf{" not in text
    assert "\\underline{" not in text
    assert len(list(csv.DictReader(io.StringIO(to_csv([table]))))) == len(table.rows)


def test_only_when_asked_for(make, tmp_path, capsys):
    write_record(make(), tmp_path / "record.json")
    assert main(["leaderboard", str(tmp_path)]) == 0
    assert "Published numbers" not in capsys.readouterr().out
    files = [str(tmp_path / f"out/t.{end}") for end in ("md", "csv", "tex", "json")]
    options = [word for pair in zip(["--markdown", "--csv", "--latex", "--json"], files, strict=True) for word in pair]
    assert main(["leaderboard", str(tmp_path), "--published", *options]) == 0
    assert "Published numbers" in capsys.readouterr().out
