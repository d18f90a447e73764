"""Numbers of calibration against torchmetrics, scikit-learn and counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from mixpro_bench.errors import UserError
from mixpro_bench.robustness import calibration as cal
from mixpro_bench.robustness.part import make_part
from mixpro_bench.robustness.subject import Subject


@pytest.fixture
def scored() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    logits = generator.normal(0, 2, (400, 5))
    labels = generator.integers(0, 5, 400)
    logits[np.arange(400), labels] += 1.5
    return logits, labels


@pytest.mark.parametrize("bins", [1, 7, 15, 30])
@pytest.mark.parametrize(("norm", "name"), [(1, "l1"), (2, "l2"), (np.inf, "max")])
def test_bins_of_equal_width_agree_with_torchmetrics(scored, bins: int, norm: float, name: str):
    logits, labels = scored
    probability = softmax(logits, axis=1)
    confidence, correct = probability.max(axis=1), probability.argmax(axis=1) == labels
    theirs = multiclass_calibration_error(
        torch.from_numpy(probability), torch.from_numpy(labels), num_classes=5, n_bins=bins, norm=name
    )
    assert cal.calibration_error(confidence, correct, bins, norm=norm) == pytest.approx(float(theirs), abs=1e-6)


def test_bins_of_equal_mass_by_hand():
    confidence = np.array([0.1, 0.2, 0.6, 0.9])
    correct = np.array([True, False, True, True])
    assert cal.calibration_error(confidence, correct, 2, "mass") == pytest.approx(
        0.5 * abs(0.5 - 0.15) + 0.5 * abs(1 - 0.75)
    )
    assert cal.calibration_error(confidence, correct, 2, "mass", norm=2) == pytest.approx(
        (0.5 * 0.35**2 + 0.5 * 0.25**2) ** 0.5
    )


def test_likelihood_and_brier_agree_with_scikit_learn(scored):
    logits, labels = scored
    probability = softmax(logits, axis=1)
    assert cal.negative_log_likelihood(np.log(probability), labels) == pytest.approx(log_loss(labels, probability))
    theirs = sum(brier_score_loss(labels == k, probability[:, k]) for k in range(5))
    assert cal.brier(probability, labels) == pytest.approx(theirs, abs=1e-12)


def test_aurra_by_hand():
    confidence, correct = np.array([0.5, 0.9, 0.7]), np.array([True, True, False])
    assert cal.aurra(confidence, correct) == pytest.approx((1 + 1 / 2 + 2 / 3) / 3)


def test_temperature_is_where_the_likelihood_is_highest(scored):
    logits, labels = scored
    found = cal.fit_temperature(logits * 3, labels)
    assert found == pytest.approx(3 * cal.fit_temperature(logits, labels), rel=1e-4)
    grid = np.exp(np.linspace(-1, 3, 4001))
    losses = [cal.measures(logits * 3 / t, labels, 15)["nll"] for t in grid[::40]]
    assert cal.measures(logits * 3 / found, labels, 15)["nll"] <= min(losses) + 1e-9


def test_the_part_scales_on_pictures_it_does_not_report(subject: Subject):
    finding = make_part("calibration", dict(bins=5)).run(subject, lambda done, total: None)
    assert 0 <= finding.metrics["calibration/ece"] <= 100
    assert finding.metrics["calibration/scaled/aurra"] == pytest.approx(finding.metrics["calibration/before/aurra"])
    assert finding.metrics["calibration/temperature"] > 0
    assert sum(1 for _ in finding.curves["reliability"].x) <= 5


def test_more_bins_than_pictures(subject: Subject):
    with pytest.raises(UserError, match="bins=31 for 30 pictures"):
        make_part("calibration", dict(bins=31)).check(subject)


@pytest.mark.parametrize("options", [dict(bins=0), dict(temperature=1.0), dict(temperature=-0.1)])
def test_options_out_of_range(options: dict):
    with pytest.raises(UserError, match="part calibration"):
        make_part("calibration", options)
