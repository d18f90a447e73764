"""The schema, its limits, and writing at the same time."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard import SCHEMA_VERSION, read_record, write_record
from mixpro_bench.leaderboard.index import load_index
from mixpro_bench.leaderboard.record import json_schema, record_from, record_id
from mixpro_bench.leaderboard.series import thinned

finite = st.floats(allow_nan=False, allow_infinity=False)


def test_a_record_survives_the_file(make, tmp_path):
    record = make("det", method="méthode")
    path = write_record(record, tmp_path / "a" / "record.json")
    assert read_record(path) == record
    assert not list(path.parent.glob(".*")), "no temporary file stays"


@given(metrics=st.dictionaries(st.text(min_size=1), finite), seed=st.integers())
def test_any_finite_metrics_survive_json(make, metrics, seed):
    record = make(metrics=metrics, seed=seed)
    assert record_from(json.loads(record.model_dump_json())) == record


def test_fields_this_version_does_not_know_are_kept(make, tmp_path):
    data = make().model_dump(mode="json") | {"mood": "good"}
    data["provenance"]["weather"] = {"rain": 1}
    path = tmp_path / "record.json"
    path.write_text(json.dumps(data))
    again = json.loads(write_record(read_record(path), tmp_path / "b.json").read_text())
    assert again["mood"] == "good"
    assert again["provenance"]["weather"] == {"rain": 1}


def test_a_newer_schema_is_refused_with_both_versions(make, tmp_path):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(make().model_dump(mode="json") | {"schema_version": SCHEMA_VERSION + 6, "metrics": 3}))
    with pytest.raises(UserError, match=rf"version {SCHEMA_VERSION + 6}.* up to version {SCHEMA_VERSION}"):
        read_record(path)


@pytest.mark.parametrize("version", [None, 0, -1, "1", 1.5, True])
def test_a_schema_version_that_is_none_is_refused(make, version, tmp_path):
    with pytest.raises(UserError, match="schema_version"):
        record_from(make().model_dump() | {"schema_version": version})
    (tmp_path / "record.json").write_text(json.dumps(make().model_dump(mode="json") | {"schema_version": version}))
    with pytest.raises(UserError, match="schema_version"):
        read_record(tmp_path / "record.json")


def test_a_file_without_a_schema_version_is_refused(make, tmp_path):
    data = make().model_dump(mode="json")
    del data["schema_version"]
    (tmp_path / "record.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match="schema_version"):
        read_record(tmp_path / "record.json")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_metrics_that_are_no_numbers_are_refused(make, tmp_path, value):
    with pytest.raises(ValueError, match="finite"):
        make(metrics={"top1": value})
    record = make()
    record.metrics["top1"] = value  # behind the model's back
    with pytest.raises(UserError, match=r"metrics\.top1"):
        write_record(record, tmp_path / "record.json")
    assert not (tmp_path / "record.json").exists()
    # JSON as Python writes it knows NaN.
    (tmp_path / "nan.json").write_text(json.dumps(make().model_dump(mode="json") | {"metrics": {"top1": value}}))
    with pytest.raises(UserError, match=r"metrics\.top1"):
        read_record(tmp_path / "nan.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00\xff", '{"schema_version": 1}'])
def test_what_is_no_record_is_named(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"record\.json"):
        read_record(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.json cannot be read"):
        read_record(tmp_path / "none.json")


def test_json_schema_names_what_is_needed():
    schema = json_schema()
    assert {"stage", "method", "backbone", "protocol", "metrics", "cost"} <= set(schema["required"])
    json.dumps(schema)


WRITER = """
import sys
sys.path.insert(0, sys.argv[3])
from conftest import make_record as make
from mixpro_bench.leaderboard import write_record
for number in range(60):
    write_record(make(seed=int(sys.argv[2]), metrics={f"m{i}": float(number) for i in range(200)}), sys.argv[1])
"""


def test_writers_at_the_same_time_all_survive_and_readers_never_see_half_a_file(make, tmp_path):
    path = tmp_path / "record.json"
    write_record(make(seed=9), path)
    here = str(Path(__file__).parent)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(k), here]) for k in range(3)]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        seen.add(read_record(path).seed)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert read_record(path).seed in (0, 1, 2)
    assert seen <= {0, 1, 2, 9}
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


def test_index_names_bad_records_and_goes_on(make, tmp_path):
    write_record(make(), tmp_path / "a/record.json")
    write_record(make(), tmp_path / "_superseded/b/record.json")
    (tmp_path / "c").mkdir()
    (tmp_path / "c/record.json").write_text("{")
    index = load_index(tmp_path)
    assert [path for path, _ in index.records] == [tmp_path / "a/record.json"]
    assert [path for path, _ in index.bad] == [tmp_path / "c/record.json"]


def test_index_refuses_what_has_nothing_to_show(tmp_path):
    with pytest.raises(UserError, match="not a folder"):
        load_index(tmp_path / "none")
    with pytest.raises(UserError, match=r"no record\.json below"):
        load_index(tmp_path)
    (tmp_path / "record.json").write_text("{")
    with pytest.raises(UserError, match="none of the 1 Records"):
        load_index(tmp_path)


CURVE = {"axis": "iter", "at": [1, 5, 9], "values": [2.0, None, 0.5]}
MORE = {
    "series": {"loss": CURVE, "coco/bbox_mAP": {"axis": "epoch", "at": [1], "values": [0.4]}},
    "best": {"metric": "top1", "value": 91.0, "at": 4, "axis": "epoch", "metrics": {"top1": 91.0, "top5": 99.0}},
    "model": {"parameters": 5, "macs": 7, "image_size": [224, 224]},
    "data_check": "passed",
    "predictions": "predictions/all.npz",
}


def test_curves_best_validation_and_the_rest_survive_the_file(make, tmp_path):
    record = make(**MORE)
    again = read_record(write_record(record, tmp_path / "record.json"))
    assert again == record
    assert again.series["loss"].values == [2.0, None, 0.5]
    assert again.best.metrics["top5"] == 99.0


@pytest.mark.parametrize(
    "curve",
    [
        CURVE | {"at": [1, 5]},
        CURVE | {"at": [1, 9, 5]},
        CURVE | {"at": [1, 5, 5]},
        CURVE | {"at": [-1, 5, 9]},
        CURVE | {"axis": "day"},
        CURVE | {"values": [1.0, math.nan, 2.0]},
        {"axis": "iter", "at": list(range(101)), "values": [0.0] * 101},
    ],
)
def test_curves_that_cannot_be_are_refused(make, curve):
    data = make().model_dump() | {"series": {"loss": curve}}
    with pytest.raises(UserError, match=r"series\.loss"):
        record_from(data, "it")


def test_device_hours_are_those_of_all_devices_and_of_accelerators_only(make):
    cost = {"wall_s": 1800.0, "train_s": 1700.0, "devices": 4}
    assert make(cost=cost, provenance={"device": "NVIDIA H100"}).gpu_hours == pytest.approx(2.0)
    assert make(cost=cost, provenance={"device": "cpu (x86_64, 2 threads)"}).gpu_hours is None
    assert make(cost=cost).gpu_hours is None


def test_records_of_before_keep_their_names(make):
    """A Record without the fields that came later is named as if they did not exist."""
    old = make()
    data = {key: value for key, value in old.model_dump(mode="json").items() if key not in MORE}
    assert record_id(record_from(data)) == record_id(old)
    assert record_id(old.model_copy(update={"predictions": "p"})) != record_id(old)


@given(st.integers(0, 2000), st.integers(2, 120))
def test_thinning_is_even_and_keeps_both_ends(count, most):
    kept = thinned(count, most)
    assert len(kept) == min(count, most)
    assert kept[:1] == [0][:count]
    assert kept[-1:] == [count - 1][:count]
    steps = {b - a for a, b in itertools.pairwise(kept)}
    assert max(steps, default=0) - min(steps, default=0) <= 1
