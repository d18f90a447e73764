"""Cheap probes of frozen features: nearest neighbours, a linear classifier, a few examples.

k-NN as in Wu et al., arXiv:1805.01978 (section 3.4): cosine similarity, votes weighted by exp(similarity / 0.07).
The thousand examples are VTAB's, Zhai et al., arXiv:1910.04867: 800 to fit, 200 to choose the regularisation, then all.
"""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mixpro_bench.errors import UserError
from mixpro_bench.rng import rng
from mixpro_bench.robustness.features import Features, check_filled, features_of
from mixpro_bench.robustness.part import Curve, Finding, Part, Steps
from mixpro_bench.robustness.subject import Advance, Subject

# Inverse strengths of the L2 penalty that are tried.
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2)
TEMPERATURE = 0.07
VTAB = 1000


def vote(train: Tensor, labels: Tensor, test: Tensor, k: int, classes: int, chunk: int = 1024) -> Tensor:
    """Return the class that the nearest neighbours vote for, (M,).

    Args:
        train: Features, (N, C).
        labels: Their classes, (N,).
        test: Features, (M, C).
        k: Neighbours; all where there are fewer.
        classes: Number of classes.
        chunk: Rows of ``test`` at a time.
    """
    train, test = F.normalize(train, dim=1), F.normalize(test, dim=1)
    found = []
    for part in test.split(chunk):
        near, which = (part @ train.T).topk(min(k, len(train)), dim=1)
        votes = torch.zeros(len(part), classes).scatter_add_(1, labels[which], (near / TEMPERATURE).exp())
        found.append(votes.argmax(dim=1))
    return torch.cat(found)


def fit(x: np.ndarray, y: np.ndarray, strength: float):
    """Return scikit-learn's multinomial logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
    with warnings.catch_warnings():
        # Where the penalty is next to nothing 500 iterations may not be enough; validation then prefers another one.
        warnings.simplefilter("ignore")
        return model.fit(x, y)


def fit_swept(
    x: np.ndarray, y: np.ndarray, generator: np.random.Generator, strengths: Sequence[float] = STRENGTHS
) -> tuple[object, float]:
    """Fit with the strength that is best on a fifth of the examples, held out, then again on all.

    Args:
        x: Features, (N, C).
        y: Classes, (N,).
        generator: Draws the fifth, of every class as far as it goes.
        strengths: Inverse strengths to try.

    Returns:
        The fitted classifier and its strength. Where no class has two examples the middle strength is taken.
    """
    held = _fifth(y, generator)
    if not held.any():
        strength = strengths[len(strengths) // 2]
        return fit(x, y, strength), strength
    scores = [float((fit(x[~held], y[~held], one).predict(x[held]) == y[held]).mean()) for one in strengths]
    strength = strengths[int(np.argmax(scores))]
    return fit(x, y, strength), strength


def _fifth(y: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return which examples are held out: a fifth of each class, rounded up, but never a class's only one."""
    held = np.zeros(len(y), dtype=bool)
    for one in np.unique(y):
        members = np.flatnonzero(y == one)
        if len(members) > 1:
            held[generator.permutation(members)[: -(-len(members) // 5)]] = True
    return held


class NearestNeighbours(Part):
    """Top-1 of k nearest neighbours among the training pictures.

    Args:
        k: Neighbours.
    """

    name: ClassVar[str] = "knn"
    needs_head: ClassVar[bool] = False
    learns: ClassVar[bool] = True

    def __init__(self, k: int = 20) -> None:
        if k < 1:
            raise UserError(f"part knn: k={k} must be at least 1")
        self.k = k

    def run(self, subject: Subject, advance: Advance) -> Finding:
        """Measure; see `Part.run`."""
        train, test = _both(subject, advance)
        found = vote(train.values, train.labels, test.values, self.k, len(train.classes))
        return Finding({"knn/top1": _percent(found == test.labels)})


class LinearProbe(Part):
    """Top-1 of a linear classifier on frozen features of the training pictures.

    Args:
        strengths: Inverse strengths of the L2 penalty, of which the best on a held-out fifth is taken.
    """

    name: ClassVar[str] = "linear"
    needs_head: ClassVar[bool] = False
    learns: ClassVar[bool] = True

    def __init__(self, strengths: Sequence[float] = STRENGTHS) -> None:
        self.strengths = tuple(float(one) for one in strengths)
        if not self.strengths or min(self.strengths) <= 0:
            raise UserError(f"part linear: strengths={list(strengths)} must be positive numbers")

    def run(self, subject: Subject, advance: Advance) -> Finding:
        """Measure; see `Part.run`."""
        train, test = _both(subject, advance)
        check_filled(train, 1, self.name)
        generator = rng(subject.seed, "linear probe", 0)
        model, strength = fit_swept(train.values.numpy(), train.labels.numpy(), generator, self.strengths)
        top1 = _percent(model.predict(test.values.numpy()) == test.labels.numpy())  # type: ignore[attr-defined]
        return Finding({"linear/top1": top1, "linear/strength": strength})


class FewShot(Part):
    """Top-1 of a linear classifier on frozen features of a few training pictures, over several draws of them.

    Args:
        shots: Pictures per class.
        vtab: Whether VTAB's thousand pictures are drawn too, of whatever class.
        draws: Draws of each.
    """

    name: ClassVar[str] = "fewshot"
    needs_head: ClassVar[bool] = False
    learns: ClassVar[bool] = True

    def __init__(self, shots: Sequence[int] = (1, 5, 25), vtab: bool = True, draws: int = 5) -> None:
        self.shots = tuple(int(one) for one in shots)
        if draws < 1 or not (self.shots or vtab) or (self.shots and min(self.shots) < 1):
            raise UserError(f"part fewshot: shots={list(shots)} and draws={draws} must be at least 1")
        self.vtab, self.draws = vtab, draws

    def run(self, subject: Subject, advance: Advance) -> Finding:
        """Measure; see `Part.run`."""
        train, test = _both(subject, advance)
        check_filled(train, max(self.shots, default=1), self.name)
        x, y = train.values.numpy(), train.labels.numpy()
        ways: dict[str, int | None] = {str(shots): shots for shots in self.shots}
        notes: tuple[str, ...] = ()
        if self.vtab and len(y) >= VTAB:
            ways[f"vtab{VTAB}"] = None
        elif self.vtab:
            notes = (f"fewer than {VTAB} training pictures: VTAB's thousand are left out",)
        metrics, means, spreads = {}, [], []
        for way, shots in ways.items():
            values = []
            for draw in range(self.draws):
                generator = rng(subject.seed, f"few shots {way}", draw)
                chosen = choose(y, shots, generator)
                model, _ = fit_swept(x[chosen], y[chosen], generator)
                values.append(_percent(model.predict(test.values.numpy()) == test.labels.numpy()))  # type: ignore[attr-defined]
            metrics[f"fewshot/{way}"] = statistics.fmean(values)
            if self.draws > 1:
                metrics[f"fewshot/{way}_sd"] = statistics.stdev(values)
            if shots is not None:
                means.append(metrics[f"fewshot/{way}"])
                spreads.append(metrics.get(f"fewshot/{way}_sd", 0.0))
        curves = {"fewshot": Curve(self.shots, means, "pictures per class", "top-1, %", spreads)} if means else {}
        return Finding(metrics, curves, notes)


def choose(y: np.ndarray, shots: int | None, generator: np.random.Generator) -> np.ndarray:
    """Draw ``shots`` examples of each class, or VTAB's thousand of all; returns their places, rising."""
    if shots is None:
        return np.sort(generator.permutation(len(y))[:VTAB])
    picked = [generator.permutation(np.flatnonzero(y == one))[:shots] for one in np.unique(y)]
    return np.sort(np.concatenate(picked))


def _both(subject: Subject, advance: Advance) -> tuple[Features, Features]:
    steps = Steps(advance, 2)
    return features_of(subject, "train", steps), features_of(subject, "val", steps)


def _percent(right: Tensor | np.ndarray) -> float:
    return float(np.asarray(right, dtype=float).mean()) * 100
