"""Rank correlation of cheap columns with dense transfer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from mixpro_bench.leaderboard.correlation import correlation_notes, predictors, rank_correlation
from mixpro_bench.leaderboard.table import build_tables


def test_rho_is_scipys_and_the_interval_that_of_bonett_and_wright():
    generator = np.random.default_rng(0)
    x = generator.normal(size=30)
    y = x + generator.normal(size=30)
    found = rank_correlation(x.tolist(), y.tolist())
    rho = spearmanr(x, y).statistic
    half = 1.959963985 * np.sqrt((1 + rho**2 / 2) / 27)
    assert found.rho == pytest.approx(rho)
    assert (found.low, found.high) == pytest.approx((np.tanh(np.arctanh(rho) - half), np.tanh(np.arctanh(rho) + half)))
    assert np.sign(kendalltau(x, y).statistic) == np.sign(found.rho)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    generator, rho, hits = np.random.default_rng(1), 0.6, 0
    truth = 6 / np.pi * np.arcsin(rho / 2)  # Spearman's rho of a normal pair
    for _ in range(300):
        x = generator.normal(size=12)
        y = rho * x + np.sqrt(1 - rho**2) * generator.normal(size=12)
        found = rank_correlation(x.tolist(), y.tolist())
        hits += found.low <= truth <= found.high
    assert 0.90 < hits / 300 < 0.99


def test_a_perfect_order_has_an_interval_too():
    found = rank_correlation([1, 2, 3, 4, 5], [10, 20, 30, 40, 50])
    assert (found.rho, found.high) == pytest.approx((1.0, 1.0))
    assert -1 < found.low < 1
    down = rank_correlation([1, 2, 3, 4, 5], [50, 40, 30, 20, 10])
    assert (down.rho, down.low, down.high) == pytest.approx((-1.0, -1.0, -found.low))


def test_too_little_says_nothing():
    assert rank_correlation([1, 2, 3], [1, 2, 3]) is None
    assert rank_correlation([1, 1, 1, 1], [1, 2, 3, 4]) is None


def test_the_predictors_are_cheap_and_of_the_pretrained_weights():
    keys = [metric.key for metric in predictors()]
    assert keys[0] == "top1"
    assert {"knn", "linear", "occlusion_auc", "mce", "ece"} < set(keys)
    assert not {"box_ap", "miou", "miou_corrupted"} & set(keys)


@pytest.fixture
def records(make, chain):
    """Five methods whose linear probe orders them as mIoU does, and whose calibration error falls with it."""
    found = []
    for place, method in enumerate(("none", "mixup", "cutmix", "transmix", "mixpro")):
        pretrain, _, seg = chain(method, 0)
        pretrain.metrics["top1"] = 80.0 - place
        seg.metrics["mIoU"] = 40.0 + place
        upstream = {"upstream_sha256": pretrain.provenance.checkpoint_sha256}
        for stage, metrics in (
            ("linear", {"linear/top1": 60.0 + place, "linear/strength": 1.0}),
            ("calibration", {"calibration/ece": 9.0 - place}),
        ):
            record = make(stage, method, 0, metrics=metrics)
            record.protocol.name = f"robustness-{stage}"
            record.provenance = record.provenance.model_copy(update={**upstream, "load_audit": None})
            found.append(record)
        found += [pretrain, seg]
    return found


def test_parts_join_the_row_of_their_method(records):
    (table,) = build_tables(records)
    assert len(table.rows) == 5
    keys = [column.key for column in table.columns]
    assert "linear" in keys
    assert next(column for column in table.columns if column.key == "ece").lower
    assert not any(key.startswith("linear_") for key in keys), "no cost of what trains nothing"
    assert not any("no load audit" in row.marks for row in table.rows)
    assert not any("robustness-" in note for note in table.notes)
    assert "robustness" not in table.title


def test_the_note_counts_less_as_better_where_it_is(records):
    (table,) = build_tables(records)
    (note,) = correlation_notes(table.rows)
    assert note in table.notes
    assert "top-1 -1.00" in note
    assert "linear probe +1.00" in note
    assert "ECE +1.00" in note
    assert "(n=5)" in note
    without = [record for record in records if record.stage in ("pretrain", "seg")]
    assert not list(correlation_notes(build_tables(without)[0].rows))
