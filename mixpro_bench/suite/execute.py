"""The local executor: a few runs at once, each in a process and with a log of its own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from mixpro_bench.leaderboard.record import Record
from mixpro_bench.suite.progress import Display
from mixpro_bench.suite.run import Run, checkpoint_of, set_aside

POLL_SECONDS = 0.2
GRACE_SECONDS = 15.0

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1

Status = Literal["done", "kept", "failed", "skipped"]


@dataclass(frozen=True)
class Outcome:
    """What became of a run: 'done' now, 'kept' from before, 'failed', or 'skipped' because what it needs failed."""

    run: Run
    status: Status
    seconds: float = 0.0
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether the run has a valid Record."""
        return self.status in ("done", "kept")


@dataclass(eq=False)
class _Running:
    run: Run
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    started: float


def cores() -> int:
    """Return the number of processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def execute(runs: Sequence[Run], root: Path, *, jobs: int, display: Display) -> list[Outcome]:
    """Do all runs, each after what it needs, and go on when one fails.

    Args:
        runs: The runs; a needed one stands before those that need it.
        root: Work dir of the suite.
        jobs: Processes at once.
        display: Is told of everything that happens.

    Returns:
        An outcome for each run, in the order of ``runs``.
    """
    by_name = {run.name: run for run in runs}
    outcomes: dict[str, Outcome] = {}
    running: list[_Running] = []
    waiting = list(runs)

    def settle(outcome: Outcome) -> None:
        outcomes[outcome.run.name] = outcome
        display.finish(outcome.run, outcome.status, outcome.seconds, outcome.reason)

    def advance(run: Run) -> bool:
        """Settle or start a waiting run if that is possible now, and say whether it was."""
        upstream, checkpoint = None, None
        if run.needs is not None:
            needed = outcomes.get(run.needs)
            if needed is None:
                return False
            if not needed.ok:
                settle(Outcome(run, "skipped", reason=f"{run.needs} {needed.status}"))
                return True
            upstream = needed.run.record()
            checkpoint = checkpoint_of(upstream, needed.run.work_dir) if upstream else None
            if checkpoint is None:
                settle(Outcome(run, "skipped", reason=f"{run.needs} left no checkpoint"))
                return True
        state = run.state(upstream)
        if state == "done":
            settle(Outcome(run, "kept"))
            return True
        if len(running) >= jobs:
            return False
        if state == "changed":
            moved = set_aside(run.work_dir, root)
            display.note(f"{run.name}: config, data or upstream weights changed; the old run is in {moved}")
        running.append(_start(run, checkpoint, upstream, resume=state == "resume", jobs=jobs))
        display.start(run)
        return True

    lost = [run.name for run in runs if run.needs is not None and run.needs not in by_name]
    assert not lost, f"runs without what they need: {lost}"
    news = True  # whether anything has happened that can let a waiting run go on
    try:
        while waiting or running:
            if news:
                waiting = [run for run in waiting if not advance(run)]
            ended = [job for job in running if job.process.poll() is not None]
            running[:] = [job for job in running if job not in ended]
            for job in ended:
                settle(_outcome(job, job.process.returncode))
            news = bool(ended)
            display.update()
            if running:
                time.sleep(POLL_SECONDS)
    except BaseException:
        _stop(running)
        raise
    return [outcomes[run.name] for run in runs]


def _start(run: Run, source: Path | None, upstream: Record | None, *, resume: bool, jobs: int) -> _Running:
    run.begin(upstream)
    command = run.command_line(str(source) if source else None, resume=resume)
    threads = str(max(1, cores() // jobs))
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"}
    log = open(run.log, "ab")  # noqa: SIM115 - open as long as the process
    log.write(f"$ {shlex.join(command)}\n".encode())
    log.flush()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=environment,
        # A group of its own: Ctrl-C reaches the suite alone, which then ends its runs in order.
        start_new_session=True,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )
    return _Running(run, process, log, time.monotonic())


def _die_with_parent() -> None:
    """Ask Linux to end this process when the suite dies, so that a killed suite leaves no run behind."""
    # Between fork and exec nothing may wait for a lock that another thread held: the library is loaded before.
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _outcome(job: _Running, code: int) -> Outcome:
    job.log.close()
    seconds = time.monotonic() - job.started
    if code < 0:
        reason = f"killed by {signal.Signals(-code).name}"
    elif code > 0:
        reason = f"exit status {code}"
    elif job.run.record() is None:
        reason = "ended without a Record"
    else:
        return Outcome(job.run, "done", seconds)
    return Outcome(job.run, "failed", seconds, reason)


def _stop(running: Sequence[_Running]) -> None:
    """End the processes and all they started: politely, then by force."""
    for job in running:
        _signal(job, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    for job in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            job.process.wait(max(0.1, deadline - time.monotonic()))
        _signal(job, signal.SIGKILL)
        job.process.wait()
        job.log.close()


def _signal(job: _Running, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(job.process.pid, number)


def last_line(path: Path) -> str:
    """Return the last line of a log that is not empty."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 65536))
            lines = stream.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
