"""Runs that are killed at random and started again: do they end with the weights of a run that was left alone?

Three stages on the built-in digits: pretraining with MixPro (epochs, with a checkpoint within each), and both transfers
of its weights (iterations); dropout, drop path, augmentation in two workers and averaged weights are on in all.
"""

from __future__ import annotations

import itertools
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from mixpro_bench.benchmark.killed import (
    POINTS,
    PRELOADED,
    PRELOADED_FOR_TRANSFER,
    Moment,
    Read,
    Session,
    preload,
    run_session,
)
from mixpro_bench.compat.checkpoint import latest_checkpoint, load_checkpoint
from mixpro_bench.datasets.seeding import EpochSampler
from mixpro_bench.errors import UserError
from mixpro_bench.rng import rng

STAGES = ("pretrain", "det", "seg")
SEED = 0
WORKERS = 2
PREFETCHED = 2  # batches per worker: torch's own number
MOST_KILLS_OF_A_RUN = 5
BY_CLOCK = "by the clock"


@dataclass(frozen=True)
class Stage:
    """A run that is short, and has all that makes resuming hard.

    Attributes:
        name: One of `STAGES`.
        config: The file of its config.
        words: Command line without the work dir.
        batch: Samples per step.
        interval: Steps between checkpoints.
        steps: Steps in all.
        by_epoch: Whether its loop counts epochs.
    """

    name: str
    config: Path
    words: tuple[str, ...]
    batch: int
    interval: int
    steps: int
    by_epoch: bool

    def stream(self, size: int) -> list[tuple[int, int]]:
        """Return the samples of an uninterrupted run in order, as (epoch, index), for a data set of ``size``."""
        sampler = EpochSampler(range(size), SEED, batch_size=self.batch, infinite=not self.by_epoch)
        if not self.by_epoch:
            return [(i.epoch, int(i)) for i in itertools.islice(iter(sampler), self.steps * self.batch)]
        a_epoch = size // self.batch * self.batch  # the last batch is dropped
        samples = []
        for epoch in range(self.steps * self.batch // a_epoch):
            sampler.set_epoch(epoch)
            samples += [(epoch, int(i)) for i in itertools.islice(iter(sampler), a_epoch)]
        return samples


@dataclass
class Tally:
    """What was found in the runs of a stage."""

    runs: int = 0
    equal: int = 0
    kills: int = 0
    by_point: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    restarts: int = 0
    resumed: int = 0
    read: int = 0
    read_before: int = 0
    read_again: int = 0
    most_again: int = 0
    augmented_otherwise: int = 0
    left_workers: int = 0
    differing: list[str] = field(default_factory=list)


def benchmark_resume(
    kills: Mapping[str, int],
    folder: Path,
    *,
    seed: int = 0,
    tell: Callable[[str, int], None] = print,
) -> dict[str, Any]:
    """Kill runs until there are enough kills, and compare each with one that was left alone.

    Args:
        kills: How many of each stage of `STAGES`; a stage that is not named is not run.
        folder: Where data, configs and runs go.
        seed: Of the moments.
        tell: Is told what is being done, and how many kills there were so far.

    Returns:
        The setting, and ``rows``, one for each stage. Samples are read again behind the resume point, of necessity:
        those of steps that no checkpoint had yet, and those that workers had fetched ahead. Their number is bounded by
        the interval between checkpoints and by what workers fetch.

    Raises:
        UserError: A run failed that was not killed; its log is named.
    """
    from mixpro_bench.benchmark.resume_stages import make_stages

    tell("importing", 0)
    transfers = any(name != "pretrain" for name in kills)
    context = preload(PRELOADED + PRELOADED_FOR_TRANSFER * transfers)
    stages = make_stages(folder, tuple(name for name in STAGES if name in kills or name == "pretrain"))
    rows, total, upstream = [], 0, None
    for name in STAGES:
        if name not in stages:
            continue
        stage = stages[name]
        words = [*stage.words[:2], *([] if upstream is None else [str(upstream)]), *stage.words[2:]]
        tell(f"{name}: left alone", total)
        started = time.monotonic()
        whole = folder / name / "whole"
        session = _session(context, words, whole, None)
        seconds = time.monotonic() - started
        upstream = upstream or latest_checkpoint(whole)
        if name not in kills:
            continue
        tally, draw = Tally(), rng(seed, f"kills of {name}", 0)
        while tally.kills < kills[name]:
            run = folder / name / f"run{tally.runs}"
            moments = _moments(draw, seconds, stage, min(MOST_KILLS_OF_A_RUN, kills[name] - tally.kills))
            for one in _run_killed(context, words, run, moments, stage, session, tally):
                if one.code == -signal.SIGKILL:
                    total += 1
                tell(f"{name}: run {tally.runs + 1}", total)
            tally.runs += 1
            differing = differences(whole, run)
            tally.equal += not differing
            tally.differing += [f"{run.name}: {what}" for what in differing[:3]]
        rows.append(_row(stage, tally, _differ_between_epochs(session.reads)))
    return {"seed": seed, "torch": str(torch.__version__), "threads": 1, "workers": WORKERS, "rows": rows}


def holds(row: Mapping[str, Any]) -> bool:
    """Tell whether the runs of a stage ended as if they had been left alone, and read what was left and no more."""
    return bool(
        row["bit_equal"] == row["runs"]
        and row["read_from_before_the_resume_point"] == row["augmented_otherwise"] == row["left_workers"] == 0
        and row["most_read_again_at_once"] <= row["bound_on_that"]
        and row["differ_between_epochs"] > 0.5
    )


def summary(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as it is shown: what is not worth a column is left to the JSON."""
    by_clock = row["kills_by_moment"].get(BY_CLOCK, 0)
    return {
        "stage": row["stage"],
        "loop": row["loop"],
        "kills": row["kills"],
        "by the clock": by_clock,
        "in a file operation": row["kills"] - by_clock,
        "restarts": row["restarts"],
        "runs": row["runs"],
        "bit-equal": "yes" if row["bit_equal"] == row["runs"] else f"{row['bit_equal']} of {row['runs']}",
        "read twice, before the resume point": row["read_from_before_the_resume_point"],
        "read twice, behind it": row["read_again_behind_it"],
        "most of that at once": f"{row['most_read_again_at_once']} (bound {row['bound_on_that']})",
        "epochs differ": f"{row['differ_between_epochs']:.0%}",
    }


def differences(whole: Path, other: Path) -> list[str]:
    """Name what differs, by bits, between the last checkpoints and the Records of two runs; an empty list is equality.

    Compared are weights, averaged weights, the optimizer, the schedules, every logged scalar of every step, and the
    metrics of the Record.
    """
    from mixpro_bench.leaderboard.record import RECORD_NAME, read_record

    first, second = (load_checkpoint(latest_checkpoint(folder) or folder) for folder in (whole, other))
    found = []
    for key in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers"):
        found += _unequal(key, first.get(key), second.get(key))
    histories = [
        {key: value for key, value in state["message_hub"]["log_scalars"].items() if "time" not in key}
        for state in (first, second)
    ]
    found += _unequal("log", *histories)
    records = [read_record(folder / RECORD_NAME).metrics for folder in (whole, other)]
    return found + _unequal("metrics", *records)


def _unequal(key: str, a: Any, b: Any) -> list[str]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if a.keys() != b.keys():
            return [f"keys of {key}"]
        return [what for name in a for what in _unequal(f"{key}.{name}", a[name], b[name])]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        return [what for i, (x, y) in enumerate(zip(a, b, strict=True)) for what in _unequal(f"{key}.{i}", x, y)]
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if torch.equal(a, b) else [key]
    return [] if a == b else [key]


def _moments(draw: Any, seconds: float, stage: Stage, most: int) -> list[Moment]:
    """Draw when the sessions of a run die: half by the clock, half between two file operations."""
    moments = []
    for _ in range(int(draw.integers(1, most + 1))):
        group = bool(draw.random() < 0.5)
        if draw.random() < 0.5:
            moments.append(Moment(None, seconds=float(draw.uniform(0, seconds)), group=group))
            continue
        point = str(draw.choice(list(POINTS)))
        once = point in ("a checkpoint is being read", "the Record gets its name")
        count = 1 if once else int(draw.integers(1, stage.steps // stage.interval))
        after = float(draw.uniform(0, 0.02)) if "being" in point else 0.0
        moments.append(Moment(point, count, after, group))
    return moments


def _run_killed(
    context: Any,
    words: Sequence[str],
    run: Path,
    moments: list[Moment],
    stage: Stage,
    whole: Session,
    tally: Tally,
) -> Iterator[Session]:
    """Run, die and resume until the run has ended; count what was read."""
    stream = stage.stream(whole.reads[0].size)
    checksums = {(read.epoch, read.index): read.checksum for read in whole.reads}
    earlier: set[tuple[int, int]] = set()
    for number in itertools.count():
        resumed_at = _steps_done(run)
        done = set(stream[: resumed_at * stage.batch])
        moment = moments[number] if number < len(moments) else None
        session = _session(context, words, run, moment)
        seen = [(read.epoch, read.index) for read in session.reads]
        again = sum(sample in earlier for sample in seen)
        tally.restarts += number > 0
        tally.resumed += resumed_at > 0
        tally.read += len(seen)
        tally.read_before += sum(sample in done for sample in seen)
        tally.read_again += again
        tally.most_again = max(tally.most_again, again)
        tally.augmented_otherwise += sum(
            checksums.setdefault(sample, read.checksum) != read.checksum
            for sample, read in zip(seen, session.reads, strict=True)
        )
        tally.left_workers += session.left_workers
        earlier.update(seen)
        if session.code == -signal.SIGKILL:
            tally.kills += 1
            tally.by_point[(moment and moment.point) or BY_CLOCK] += 1
        yield session
        if session.code == 0:
            return


def _session(context: Any, words: Sequence[str], run: Path, moment: Moment | None) -> Session:
    log = run.with_suffix(".log")
    run.parent.mkdir(parents=True, exist_ok=True)
    session = run_session(context, [*words, "--work-dir", str(run), "--resume", "auto"], log, moment)
    if session.code not in (0, -signal.SIGKILL):
        lines = log.read_text(errors="replace").strip().splitlines() or ["no output"]
        raise UserError(f"a run failed that was not killed (exit status {session.code}): {lines[-1]} (log: {log})")
    return session


def _steps_done(run: Path) -> int:
    checkpoint = latest_checkpoint(run)
    return 0 if checkpoint is None else int(load_checkpoint(checkpoint, mmap=True)["meta"]["iter"])


def _differ_between_epochs(reads: Sequence[Read]) -> float:
    """Return the share of samples that look different in every epoch they were read in."""
    by_index: dict[int, list[int]] = defaultdict(list)
    for read in reads:
        by_index[read.index].append(read.checksum)
    several = [seen for seen in by_index.values() if len(seen) > 1]
    return sum(len(set(seen)) == len(seen) for seen in several) / len(several) if several else float("nan")


def _row(stage: Stage, tally: Tally, differ: float) -> dict[str, Any]:
    return {
        "stage": stage.name,
        "loop": "epochs" if stage.by_epoch else "iterations",
        "kills": tally.kills,
        "kills_by_moment": dict(tally.by_point),
        "runs": tally.runs,
        "restarts": tally.restarts,
        "resumed_from_checkpoint": tally.resumed,
        "bit_equal": tally.equal,
        "differing": tally.differing,
        "samples_read": tally.read,
        "read_from_before_the_resume_point": tally.read_before,
        "read_again_behind_it": tally.read_again,
        "most_read_again_at_once": tally.most_again,
        "bound_on_that": (stage.interval + WORKERS * PREFETCHED) * stage.batch,
        "augmented_otherwise": tally.augmented_otherwise,
        "left_workers": tally.left_workers,
        "differ_between_epochs": round(differ, 3),
    }
