"""Calibration: does the classifier know how sure it may be?

Sources: ECE and temperature, Guo et al., arXiv:1706.04599; bins of equal mass, Nguyen and O'Connor, arXiv:1508.05154;
RMS calibration error and AURRA, Hendrycks et al., arXiv:1907.07174 (section 4); Brier, 1950, as the sum over classes.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from mixpro_bench.errors import UserError
from mixpro_bench.rng import rng
from mixpro_bench.robustness.part import Curve, Finding, Part
from mixpro_bench.robustness.subject import Advance, Subject

BINS = 15
# Temperatures that are searched, as logarithms.
RANGE = (np.log(0.05), np.log(20.0))


def edges_of(confidence: np.ndarray, bins: int, mass: str) -> np.ndarray:
    """Return the inner edges of bins between 0 and 1.

    Args:
        confidence: Shape (N,).
        bins: Number of bins.
        mass: ``"width"`` for bins of equal width, ``"mass"`` for bins of equally many samples.
    """
    if mass == "width":
        return np.linspace(0, 1, bins + 1)[1:-1]
    return np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1])


def reliability(
    confidence: np.ndarray, correct: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the share of samples, mean confidence and accuracy of each bin; bins are open below and closed above.

    Args:
        confidence: Probability of the predicted class, (N,).
        correct: Whether the prediction is right, (N,).
        edges: Inner edges, rising.

    Returns:
        Three arrays of ``len(edges) + 1`` numbers; mean confidence and accuracy are 0 in an empty bin.
    """
    place = np.searchsorted(edges, confidence, side="left")
    n = len(edges) + 1
    count = np.bincount(place, minlength=n)
    filled = np.maximum(count, 1)
    sure = np.bincount(place, confidence, minlength=n) / filled
    right = np.bincount(place, correct.astype(float), minlength=n) / filled
    return count / len(confidence), sure, right


def calibration_error(
    confidence: np.ndarray, correct: np.ndarray, bins: int = BINS, mass: str = "width", norm: float = 1
) -> float:
    """Return the distance between confidence and accuracy, between 0 and 1.

    Args:
        confidence: Probability of the predicted class, (N,).
        correct: Whether the prediction is right, (N,).
        bins: Number of bins.
        mass: See `edges_of`.
        norm: 1 for the expected (ECE), 2 for the root mean square (RMS), infinity for the largest error (MCE).
    """
    share, sure, right = reliability(confidence, correct, edges_of(confidence, bins, mass))
    gap = np.abs(right - sure)
    if np.isinf(norm):
        return float(gap[share > 0].max())
    return float((share * gap**norm).sum() ** (1 / norm))


def brier(probability: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean squared distance between probabilities (N, K) and one-hot labels (N,), summed over classes."""
    own = probability[np.arange(len(labels)), labels]
    return float(((probability**2).sum(axis=1) - 2 * own + 1).mean())


def negative_log_likelihood(log_probability: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean negative log-likelihood in nats, of log-probabilities (N, K) and labels (N,)."""
    return float(-log_probability[np.arange(len(labels)), labels].mean())


def aurra(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return the area under the response rate accuracy curve, between 0 and 1.

    The model answers the n samples it is surest of, for every n; the area is the mean of its accuracies there.
    """
    order = np.argsort(-confidence, kind="stable")
    return float((np.cumsum(correct[order]) / np.arange(1, len(order) + 1)).mean())


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature that the logits are to be divided by for the smallest negative log-likelihood.

    Args:
        logits: Shape (N, K).
        labels: Shape (N,).
    """

    def loss(logarithm: float) -> float:
        return negative_log_likelihood(log_softmax(logits / np.exp(logarithm), axis=1), labels)

    return float(np.exp(minimize_scalar(loss, bounds=RANGE, method="bounded", options={"xatol": 1e-6}).x))


def measures(logits: np.ndarray, labels: np.ndarray, bins: int) -> dict[str, float]:
    """Return all numbers of calibration; errors and AURRA in percent.

    Args:
        logits: Shape (N, K).
        labels: Shape (N,).
        bins: Number of bins.
    """
    log_probability = log_softmax(logits, axis=1)
    probability = np.exp(log_probability)
    confidence, correct = probability.max(axis=1), probability.argmax(axis=1) == labels
    return {
        "ece": 100 * calibration_error(confidence, correct, bins),
        "ece_mass": 100 * calibration_error(confidence, correct, bins, "mass"),
        "mce": 100 * calibration_error(confidence, correct, bins, norm=np.inf),
        "rms": 100 * calibration_error(confidence, correct, bins, "mass", norm=2),
        "brier": brier(probability, labels),
        "nll": negative_log_likelihood(log_probability, labels),
        "aurra": 100 * aurra(confidence, correct),
    }


class Calibration(Part):
    """Calibration on the validation pictures, as it is and after temperature scaling.

    Args:
        bins: Number of bins of confidence.
        temperature: Share of the pictures, drawn at random, that a temperature is fitted on; the numbers after
            scaling, and beside them those before, are of the others. 0 leaves scaling out.
    """

    name: ClassVar[str] = "calibration"

    def __init__(self, bins: int = BINS, temperature: float = 0.5) -> None:
        if bins < 1:
            raise UserError(f"part calibration: bins={bins} must be at least 1")
        if not 0 <= temperature < 1:
            raise UserError(
                f"part calibration: temperature={temperature} is a share of the pictures, from 0 to below 1"
            )
        self.bins, self.temperature = bins, temperature

    def check(self, subject: Subject) -> None:
        """Refuse more bins than there are samples to fill them."""
        super().check(subject)
        rest = len(subject.indices) - round(self.temperature * len(subject.indices))
        if self.bins > rest:
            raise UserError(f"part calibration: bins={self.bins} for {rest} pictures: take fewer bins or more pictures")

    def run(self, subject: Subject, advance: Advance) -> Finding:
        """Measure; see `Part.run`."""
        logits = subject.scores(advance=advance).double().numpy()
        labels = subject.labels.numpy()
        metrics = {f"calibration/{name}": value for name, value in measures(logits, labels, self.bins).items()}
        curves = {"reliability": self._diagram(logits, labels)}
        held = round(self.temperature * len(labels))
        if held:
            order = rng(subject.seed, "temperature", 0).permutation(len(labels))
            fitted, rest = order[:held], order[held:]
            temperature = fit_temperature(logits[fitted], labels[fitted])
            metrics["calibration/temperature"] = temperature
            for when, scaled in (("before", logits[rest]), ("scaled", logits[rest] / temperature)):
                found = measures(scaled, labels[rest], self.bins)
                metrics.update({f"calibration/{when}/{name}": value for name, value in found.items()})
            curves["reliability, scaled"] = self._diagram(logits[rest] / temperature, labels[rest])
        return Finding(metrics, curves)

    def _diagram(self, logits: np.ndarray, labels: np.ndarray) -> Curve:
        probability = np.exp(log_softmax(logits, axis=1))
        confidence, correct = probability.max(axis=1), probability.argmax(axis=1) == labels
        share, sure, right = reliability(confidence, correct, edges_of(confidence, self.bins, "width"))
        filled = share > 0
        return Curve((100 * sure[filled]).tolist(), (100 * right[filled]).tolist(), "mean confidence, %", "accuracy, %")
