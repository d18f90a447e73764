"""What a run changes against its protocol stands in its Record, and keeps it out of the protocol's table."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.record import read_record
from mixpro_bench.leaderboard.table import build_tables
from mixpro_bench.protocols import deviations_of_run

sys.path.insert(0, str(Path(__file__).parent))
from test_run_hooks import BENCH, train

pytestmark = pytest.mark.mm


def test_a_run_off_its_protocol_says_so_and_is_not_ranked_with_it(tmp_path):
    bench = {**BENCH, "protocol": "digits-cls", "version": 1}
    train(tmp_path, bench=bench)
    record = read_record(tmp_path / "record.json")
    assert "train_cfg.max_epochs is None, digits-cls v1 says 10" in record.deviations
    assert any("the global batch is" in one for one in record.deviations)
    kept = record.model_copy(update={"deviations": [], "method": record.method.model_copy(update={"name": "other"})})
    tables = build_tables([record, kept])
    assert len(tables) == 2
    off = next(table for table in tables if table.rows[0].method == "mixpro")
    assert "off protocol" in off.title
    assert "off protocol" in off.rows[0].marks


def test_a_run_of_ones_own_protocol_has_nothing_to_leave(tmp_path):
    train(tmp_path)
    assert not getattr(read_record(tmp_path / "record.json"), "deviations", None)
    assert deviations_of_run({"bench": {"protocol": "mine", "version": 3}}, 1) == []


def test_a_version_that_does_not_exist_is_refused_before_training(tmp_path):
    with pytest.raises(UserError, match="digits-cls has version 1"):
        train(tmp_path, bench={**BENCH, "protocol": "digits-cls", "version": 9})
    assert not list(tmp_path.glob("*.pth"))
