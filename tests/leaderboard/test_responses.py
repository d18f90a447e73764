"""Curves of robustness: in the Record, in rows, on the page."""

from __future__ import annotations

import pytest

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard import write_record
from mixpro_bench.leaderboard.page import write_html
from mixpro_bench.leaderboard.record import read_record, record_from
from mixpro_bench.leaderboard.responses import responses_of
from mixpro_bench.leaderboard.table import build_tables


def response(y, x=(0, 10, 20), sd=None):
    return {"x": list(x), "y": list(y), "x_label": "occluded cells, %", "y_label": "top-1, %", "sd": sd}


@pytest.fixture(scope="module")
def records(make, chain):
    """Two methods of two seeds with curves of occlusion and a reliability diagram, one of a single seed."""
    found = []
    for method, seeds in (("none", 2), ("mixpro", 2), ("cutmix", 1)):
        for seed in range(seeds):
            pretrain = chain(method, seed)[0]
            found.append(pretrain)
            for stage, curves in (
                ("occlusion", {"random": response([80 + seed, 60 + 2 * seed, 40], sd=[0, 1, 2])}),
                ("calibration", {"reliability": response([5, 50, 90], [10 + seed, 50, 95])}),
            ):
                told = make(stage, method, seed, metrics={"occlusion/random/auc": 60.0}).model_dump()
                told["provenance"] |= {"upstream_sha256": pretrain.provenance.checkpoint_sha256, "load_audit": None}
                told["protocol"]["name"] = f"robustness-{stage}"
                found.append(record_from({**told, "curves": curves}))
    return found


def rows_of(records):
    (table,) = build_tables(records)
    return {row.method: {one["name"]: one for one in responses_of(row)} for row in table.rows}


def test_a_record_keeps_its_curves(records, tmp_path):
    again = read_record(write_record(records[1], tmp_path / "record.json"))
    assert again == records[1]
    assert again.curves["random"].y == [80.0, 60.0, 40.0]


@pytest.mark.parametrize("wrong", [{"y": [1.0]}, {"sd": [1.0]}, {"sd": [1.0, -1.0, 0.0]}, {"x": [0.0] * 101}])
def test_what_does_not_fit_together_is_refused(records, wrong):
    told = records[1].model_dump()
    told["curves"]["random"] |= wrong
    with pytest.raises(UserError, match=r"curves\.random"):
        record_from(told)


def test_seeds_are_averaged_and_their_spread_is_told(records):
    found = rows_of(records)["mixpro"]["random"]
    assert (found["n"], found["of"]) == (2, "seeds")
    (line,) = found["lines"]
    assert line["y"] == [80.5, 61.0, 40.0]
    assert line["sd"] == pytest.approx([0.5**0.5, 2**0.5, 0.0], rel=1e-4)


def test_one_seed_shows_the_spread_of_its_draws(records):
    found = rows_of(records)["cutmix"]["random"]
    assert (found["n"], found["of"], found["lines"][0]["sd"]) == (1, "draws", [0.0, 1.0, 2.0])


def test_diagrams_of_other_places_are_not_averaged(records):
    found = rows_of(records)["none"]["reliability"]
    assert [line["x"][0] for line in found["lines"]] == [10.0, 11.0]
    assert found["of"] is None


@pytest.mark.browser
def test_the_page_draws_them(records, tmp_path, browser):
    browser.open(write_html(build_tables(records), records, tmp_path))
    browser.until("document.querySelectorAll('.course figure').length > 0")
    captions = browser.js("[...document.querySelectorAll('section figcaption')].map((node) => node.textContent)")
    shown = [caption for caption in captions if caption.startswith(("occlusion", "calibration"))]
    assert shown == [
        "occlusion: random (shade: ± one standard deviation over draws or seeds).",
        "calibration: reliability.",
    ]
    assert browser.js("document.querySelectorAll('.course figure .span').length") == 3
    assert browser.js("document.querySelectorAll('.course figure .zero').length") == 1, "the diagonal"
    assert browser.errors == []
