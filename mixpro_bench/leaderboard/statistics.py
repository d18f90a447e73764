"""Mean and spread over pretraining seeds.

The unit is the pretraining: several transfer runs from one pretrained model say how noisy the transfer is, not how
noisy the method is, so they are averaged before anything is counted.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np

from mixpro_bench.leaderboard.record import Record


@dataclass(frozen=True)
class Summary:
    """What is known of one quantity.

    Attributes:
        mean: Mean over units.
        sd: Sample standard deviation over units (``ddof=1``), None for a single unit.
        n: Number of units.
        runs: Number of runs behind them.
    """

    mean: float
    sd: float | None
    n: int
    runs: int


def unit_of(record: Record) -> Hashable:
    """Return what identifies the pretraining behind a Record.

    That is its seed; for weights without a known seed the checkpoint's hash; for a run from scratch, where no
    pretraining is shared, the run's own seed.
    """
    if record.pretrain_seed is not None:
        return ("pretrain_seed", record.pretrain_seed)
    if record.provenance.upstream_sha256 is not None:
        return ("checkpoint", record.provenance.upstream_sha256)
    return ("seed", record.seed)


def summarize(values: Iterable[tuple[Hashable, float]]) -> Summary | None:
    """Average the values of each unit, then describe the units.

    Args:
        values: Unit and value of each run.

    Returns:
        The summary, or None if there is no value.
    """
    units: dict[Hashable, list[float]] = {}
    for unit, value in values:
        units.setdefault(unit, []).append(float(value))
    if not units:
        return None
    means = np.array([np.mean(runs) for runs in units.values()], dtype=np.float64)
    sd = float(np.std(means, ddof=1)) if len(means) > 1 else None
    return Summary(float(np.mean(means)), sd, len(means), sum(map(len, units.values())))
