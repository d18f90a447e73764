"""What a run was like on the way: curves of its training, and its validations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mixpro_bench.leaderboard.metrics import METRICS, RANKING
from mixpro_bench.leaderboard.series import MAX_POINTS, Axis, thinned

# What a training step tells -> the name of its curve. The rest is in the logs.
TRAINING = {"loss": "loss", "lr": "lr", "mix/factor": "factor"}
# Stage -> the evaluator's name of the metric that its best validation is chosen by; the more the better.
MAIN_METRIC = {metric.stage: metric.raw for metric in METRICS if metric.key in RANKING}
DIGITS = 7


class Curve:
    """Means of a value over spans of iterations of equal width, which doubles so that there are never too many.

    The spans lie on a fixed grid, so a run that is stopped and resumed has the same curve as one that is not.

    Args:
        state: What `state` returned, to go on from there.
    """

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        self.width = int(state["width"]) if state else 1
        # Number of the span -> [last iteration in it, sum of the finite values, how many they are]
        self._spans: dict[int, list[Any]] = {int(span): list(rest) for span, *rest in state["spans"]} if state else {}

    def add(self, iteration: int, value: float) -> None:
        """Add the value of an iteration, counted from 1."""
        while (iteration - 1) // self.width >= MAX_POINTS:
            self._widen()
        span = self._spans.setdefault((iteration - 1) // self.width, [0, 0.0, 0])
        span[0] = iteration
        if math.isfinite(value):
            span[1] += float(value)
            span[2] += 1

    def state(self) -> dict[str, Any]:
        """Return all of it as primitives."""
        return {"width": self.width, "spans": [[number, *span] for number, span in sorted(self._spans.items())]}

    def series(self) -> dict[str, Any]:
        """Return the curve as a Record holds it: at the last iteration of each span, the mean of its finite values."""
        spans = [span for _, span in sorted(self._spans.items())]
        values = [_rounded(total / count) if count else None for _, total, count in spans]
        return {"axis": "iter", "at": [last for last, _, _ in spans], "values": values}

    def _widen(self) -> None:
        spans, self._spans = self._spans, {}
        self.width *= 2
        for number, (last, total, count) in sorted(spans.items()):
            span = self._spans.setdefault(number // 2, [0, 0.0, 0])
            span[:] = [last, span[1] + total, span[2] + count]


class History:
    """Curves and validations of one run, over all its sessions.

    Attributes:
        validations: One dict per validation, in their order: ``iter``, ``epoch`` (None where the run counts iterations)
            and ``metrics`` (None for those that were not finite).
    """

    def __init__(self) -> None:
        self._curves: dict[str, Curve] = {}
        self.validations: list[dict[str, Any]] = []

    def read(self, key: str, iterations: Sequence[int], values: Sequence[float]) -> None:
        """Take up values of a training step's scalar; those without a curve are passed over."""
        if (name := TRAINING.get(key)) is not None:
            curve = self._curves.setdefault(name, Curve())
            for iteration, value in zip(iterations, values, strict=True):
                curve.add(iteration, value)

    def validated(self, iteration: int, epoch: int | None, metrics: Mapping[str, float | None]) -> None:
        """Take up a validation; one at the same place takes the place of the earlier one."""
        self.validations = [known for known in self.validations if known["iter"] != iteration]
        self.validations.append({"iter": iteration, "epoch": epoch, "metrics": dict(metrics)})

    def state(self) -> dict[str, Any]:
        """Return all of it as primitives."""
        curves = {name: curve.state() for name, curve in self._curves.items()}
        return {"curves": curves, "validations": [dict(one) for one in self.validations]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self._curves = {str(name): Curve(curve) for name, curve in state.get("curves", {}).items()}
        self.validations = [dict(one) for one in state.get("validations", ())]

    def series(self) -> dict[str, dict[str, Any]]:
        """Return every curve as a Record holds it."""
        found = {name: curve.series() for name, curve in self._curves.items()}
        names = {key: None for one in self.validations for key in one["metrics"]}
        for name in names:
            told = [one for one in self.validations if name in one["metrics"]]
            kept = [told[k] for k in thinned(len(told))]
            axis = _axis(self.validations)
            found[name] = {
                "axis": axis,
                "at": [one[axis] for one in kept],
                "values": [None if (value := one["metrics"][name]) is None else _rounded(value) for one in kept],
            }
        return found

    def best(self, stage: str) -> dict[str, Any] | None:
        """Return the validation with the highest main metric of a stage, the first of equals; None without that."""
        metric = MAIN_METRIC.get(stage, "")
        told = [one for one in self.validations if one["metrics"].get(metric) is not None]
        if not told:
            return None
        axis = _axis(self.validations)
        best = max(told, key=lambda one: one["metrics"][metric])
        metrics = {key: value for key, value in best["metrics"].items() if value is not None}
        return {"metric": metric, "value": metrics[metric], "at": best[axis], "axis": axis, "metrics": metrics}


def _axis(validations: Sequence[Mapping[str, Any]]) -> Axis:
    return "iter" if any(one["epoch"] is None for one in validations) else "epoch"


def _rounded(value: float) -> float:
    """Leave away what no plot shows: a Record holds hundreds of these."""
    return float(f"{value:.{DIGITS}g}")
