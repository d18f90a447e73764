"""Processes that are killed: a run of the command line that notes what it reads, and dies at a chosen moment.

The process is a real one, forked from a server that has imported everything (the standard library's ``forkserver``), so
that a start costs a second and not the ten of importing mmdet. Nothing of the package is replaced: samples are noted
around `SeededDataset`, and moments between two file operations are found by Python's audit events.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixpro_bench.errors import UserError

PRELOADED = (
    "matplotlib.backends.backend_agg",
    "matplotlib.pyplot",
    "torch._dynamo",
    "timm",
    "mixpro_bench.benchmark.killed",
    "mixpro_bench.cli.pretrain",
    "mixpro_bench.cli.transfer",
    "mixpro_bench.compat.registered",
    "mixpro_bench.datasets",
    "mixpro_bench.hooks",
    "mixpro_bench.pretrain",
    "mixpro_bench.transfer",
)
PRELOADED_FOR_TRANSFER = ("mmdet.apis", "mmdet.models", "mmdet.datasets", "mmdet.evaluation", "mmseg.apis")
PATIENCE_SECONDS = 300.0

# A moment -> the audit event before it, which argument holds the path, and what the path is told by.
POINTS = {
    "a checkpoint is being written": ("tempfile.mkstemp", 0, ".pth."),
    "a checkpoint gets its name": ("os.rename", 1, ".pth"),
    "the pointer gets its name": ("os.rename", 1, "last_checkpoint"),
    "the older checkpoint is removed": ("os.remove", 0, ".pth"),
    "a checkpoint is being read": ("open", 0, ".pth"),
    "the Record gets its name": ("os.rename", 1, "record.json"),
}


@dataclass(frozen=True)
class Moment:
    """When a process dies.

    Attributes:
        point: One of `POINTS`; None for a moment of the clock.
        count: At the how manieth time that the point is reached.
        seconds: After the point, or after the start.
        group: Its data workers are killed too, as a scheduler does; else they must find out.
    """

    point: str | None
    count: int = 1
    seconds: float = 0.0
    group: bool = False


@dataclass(frozen=True)
class Read:
    """One sample that a process read: its epoch and index, a checksum of it as augmented, the size of the data set."""

    epoch: int
    index: int
    checksum: int
    size: int


@dataclass(frozen=True)
class Session:
    """One process of a run: its exit code (-9 when killed), what it read in that order, whether its workers stayed."""

    code: int
    reads: tuple[Read, ...]
    left_workers: bool


def preload(modules: Sequence[str]) -> Any:
    """Return the context whose processes start with ``modules`` imported."""
    # The server and what it forks must not compute on several threads; it takes over this process' environment.
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    # The first process waits for the server: none of those that are timed is to be it.
    first = context.Process(target=os.getpid)
    first.start()
    first.join()
    return context


def run_session(context: Any, words: Sequence[str], log: Path, moment: Moment | None) -> Session:
    """Run a command of ``mixpro-bench`` in a process of its own, and kill it at a moment.

    Args:
        context: From `preload`.
        words: The command's arguments.
        log: File that its output is added to; what it reads goes to a file beside it.
        moment: When it dies, if it has not ended before; None lets it end.
    """
    reads = log.with_suffix(".reads")
    reads.unlink(missing_ok=True)
    process = context.Process(target=_main, args=(list(words), str(log), str(reads), moment))
    process.start()
    try:
        if moment is not None and moment.point is None:
            process.join(moment.seconds)
            if process.is_alive():
                _kill(process.pid, group=moment.group)
        process.join(PATIENCE_SECONDS)
        if process.is_alive():
            raise UserError(f"no end after {PATIENCE_SECONDS:.0f} s: {' '.join(words)} (log: {log})")
    finally:
        if process.is_alive():
            _kill(process.pid, group=True)
            process.join()
    lines = reads.read_text().splitlines() if reads.is_file() else []
    return Session(process.exitcode, tuple(Read(*map(int, line.split())) for line in lines), _left(process.pid))


def _left(group: int) -> bool:
    """Tell whether processes of a group are left after a while, and end them."""
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.01)
    _kill(group, group=True)
    return True


def _kill(pid: int, *, group: bool) -> None:
    if group:
        with contextlib.suppress(ProcessLookupError):  # it has no group of its own yet
            os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _main(words: list[str], log: str, reads: str, moment: Moment | None) -> None:
    os.setsid()
    gc.freeze()  # what was imported before the fork is no garbage: looking through it takes a second each time
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    _note_reads(reads)
    if moment is not None and moment.point is not None:
        _die_at(moment)
    from mixpro_bench.cli.main import main

    sys.exit(main(words))


def _note_reads(path: str) -> None:
    """Note every training sample, in whatever worker, as one line in one write."""
    from mixpro_bench.datasets.seeding import SeededDataset

    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    read = SeededDataset.__getitem__

    def noting(self: SeededDataset, index: Any) -> Any:
        sample = read(self, index)
        checksum = zlib.crc32(sample["inputs"].numpy().tobytes())
        os.write(file, f"{getattr(index, 'epoch', 0)} {int(index)} {checksum} {len(self)}\n".encode())
        return sample

    SeededDataset.__getitem__ = noting  # type: ignore[method-assign]


def _die_at(moment: Moment) -> None:
    wanted, place, part = POINTS[str(moment.point)]
    main_process = os.getpid()
    reached = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal reached
        if event != wanted or os.getpid() != main_process:
            return
        path = arguments[place]
        name = os.path.basename(os.fspath(path)) if isinstance(path, (str, os.PathLike)) else ""
        if not (part in name if part.endswith(".") else name.endswith(part)):
            return
        reached += 1
        if reached == moment.count:
            die = functools.partial(_kill, main_process, group=moment.group)
            if moment.seconds:
                threading.Timer(moment.seconds, die).start()
            else:
                die()

    sys.addaudithook(watch)
