"""What there is in a work dir: done, running, failed or waiting, read from the files of the runs and SLURM's queue."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape

from mixpro_bench.errors import UserError
from mixpro_bench.files import write_text_atomic
from mixpro_bench.leaderboard.record import RECORD_NAME, Record, read_record
from mixpro_bench.suite.plan import Plan
from mixpro_bench.suite.process import last_line
from mixpro_bench.suite.progress import PROGRESS_NAME, clock
from mixpro_bench.suite.queue import Job, jobs_of
from mixpro_bench.suite.run import FACTS_NAME

PLAN_NAME = "suite.json"
VALIDATIONS_NAME = "validations.json"
# A run of a living suite says nothing of itself while it imports and builds; longer than this is no start.
START_SECONDS = 120.0
# A process on another machine cannot be looked at: it counts as running as long as it was heard of within this time.
SILENCE_SECONDS = 3600.0

State = Literal["done", "running", "failed", "waiting"]
STATES: tuple[State, ...] = ("done", "running", "failed", "waiting")


@dataclass(frozen=True)
class RunStatus:
    """How one run stands.

    Attributes:
        name: Folder relative to the work dir, such as ``det/mixpro/seed0``.
        state: ``done``: it has a Record; ``running``: its process lives; ``failed``: begun, without Record and process;
            ``waiting``: planned by the suite and not begun.
        stage: Last phase a begun run told: ``start``, ``train``, ``val`` or ``done``.
        iter: Iterations behind it.
        max_iters: Iterations in all.
        epoch: Epochs behind it; None where it counts iterations.
        max_epochs: Epochs in all.
        loss: Last loss it told; text where that was no finite number.
        seconds: What it took (done, all sessions together), or how long it has run or ran (since its last start).
        eta_s: Seconds left as a running run last told, less the time since then.
        metrics: Metrics of the Record; without one, of the last validation.
        detail: What a failed run said last, what a waiting one waits for, where a running one runs.
        resumable: A failed run left a checkpoint.
    """

    name: str
    state: State
    stage: str | None = None
    iter: int | None = None
    max_iters: int | None = None
    epoch: int | None = None
    max_epochs: int | None = None
    loss: float | str | None = None
    seconds: float | None = None
    eta_s: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    detail: str = ""
    resumable: bool = False


def write_plan(plan: Plan, root: Path, where: Mapping[str, Any] | None = None) -> Path:
    """Write what a suite is going to do into its work dir, so that its status can be read by others.

    Args:
        plan: The runs.
        root: Work dir of the suite.
        where: What the executor says of itself; see `Executor.where`.
    """
    content = {
        "name": plan.name,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "updated": time.time(),
        "runs": [{"name": run.name, "needs": run.needs} for run in plan.runs],
        **(where or {}),
    }
    return write_text_atomic(root / PLAN_NAME, json.dumps(content, indent=1) + "\n")


def read_status(root: str | os.PathLike[str]) -> list[RunStatus]:
    """Return how every run below a folder stands: planned ones in the plan's order, then others by name.

    Args:
        root: Work dir of a suite, of one run, or a folder of several.

    Raises:
        UserError: If there is no such folder, or no run in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root} is no folder: give the work dir of a suite or of a run")
    plan = _read_json(root / PLAN_NAME)
    suite_lives = is_alive(plan)
    jobs = jobs_of(plan)
    needs = {run["name"]: run.get("needs") for run in plan.get("runs", ())}
    found = {_name(folder, root): folder for folder in _run_folders(root)}
    if not found and not needs:
        raise UserError(f"there is no run below {root}: give the work dir of a suite or of a run")
    statuses: dict[str, RunStatus] = {}
    for name in [*needs, *sorted(set(found) - set(needs))]:
        folder = found.get(name)
        if folder is not None:
            statuses[name] = _status(name, folder, suite_lives)
        else:
            upstream = statuses.get(needs.get(name) or "")
            waits = f"{upstream.name} {upstream.state}" if upstream and upstream.state != "done" else ""
            idle = "" if suite_lives else "the suite is not running"
            statuses[name] = RunStatus(name, "waiting", detail=", ".join(filter(None, (waits, idle))))
        if jobs is not None and name in needs:
            statuses[name] = _as_job(statuses[name], jobs.get(name))
    return list(statuses.values())


def is_alive(told: dict[str, Any]) -> bool:
    """Tell whether the process that wrote ``pid``, ``updated`` and perhaps ``host`` still lives.

    A number that was given to another process since is told apart by that process's start (on Linux).
    """
    pid, updated = told.get("pid"), told.get("updated")
    if not isinstance(pid, int) or pid <= 0 or not isinstance(updated, (int, float)):
        return False
    if told.get("host", socket.gethostname()) != socket.gethostname():
        return time.time() - updated < SILENCE_SECONDS
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    started, zombie = _started(pid)
    # Clock ticks are counted from a boot time of whole seconds.
    return not zombie and (started is None or started <= updated + 2)


def _as_job(status: RunStatus, job: Job | None) -> RunStatus:
    """Put what the queue says of a run beside what its files say."""
    if job is None:
        if status.state == "running":  # heard of a while ago on another machine
            return replace(status, state="failed", eta_s=None, detail="its job has left the queue")
        return status
    if job.state == "PENDING":
        return replace(status, state="waiting", eta_s=None, detail=f"in the queue as {job}", resumable=False)
    if status.state != "running":
        return RunStatus(status.name, "running", stage="start", detail=str(job))
    return replace(status, detail=", ".join(filter(None, (str(job), status.detail))))


def to_json(root: str | os.PathLike[str], statuses: list[RunStatus]) -> dict[str, Any]:
    """Return the statuses as primitives, with counts."""
    plan = _read_json(Path(root) / PLAN_NAME)
    return {
        "work_dir": str(Path(root).absolute()),
        "suite": {"name": plan.get("name"), "running": is_alive(plan) or bool(jobs_of(plan))} if plan else None,
        "counts": {state: sum(status.state == state for status in statuses) for state in STATES},
        "runs": [asdict(status) for status in statuses],
    }


def print_status(statuses: list[RunStatus], console: Console | None = None) -> None:
    """Print a table, and the counts below it."""
    console = console or Console()
    rows = [("run", "state", "progress", "time", "left", "")]
    for status in statuses:
        progress = "" if status.iter is None else f"{status.stage} {status.iter}/{status.max_iters or '?'}"
        took, left = ("" if value is None else clock(value) for value in (status.seconds, status.eta_s))
        detail = status.detail + (" (can be resumed)" if status.resumable else "")
        if status.state == "done":
            detail = ", ".join(f"{key} {value:g}" for key, value in list(status.metrics.items())[:2])
        rows.append((status.name, status.state, progress, took, left, detail))
    # Lines of any length instead of a table that folds: they are read by grep as well.
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [f"{cell:{side}{width}}" for cell, side, width in zip(row, "<<<>><", widths, strict=True)]
        console.print(escape("  ".join(cells).rstrip()), highlight=False, soft_wrap=True)
    counts = ", ".join(f"{sum(s.state == state for s in statuses)} {state}" for state in STATES)
    spent = sum(status.seconds or 0 for status in statuses)
    console.print(f"{len(statuses)} runs: {counts}; {clock(spent)} of run time", highlight=False, soft_wrap=True)


def _status(name: str, folder: Path, suite_lives: bool) -> RunStatus:
    progress = _read_json(folder / PROGRESS_NAME)
    record = _record(folder)
    begun = _mtime(folder / FACTS_NAME) or _mtime(folder / "config.py")
    now, updated = time.time(), float(progress.get("updated") or 0)
    # Progress from before the last start is an earlier session's.
    fresh = updated >= (begun or 0) - 1
    told = ("stage", "iter", "max_iters", "epoch", "max_epochs", "loss")
    common: dict[str, Any] = {key: progress.get(key) for key in told}
    if progress and fresh and progress.get("stage") != "done" and is_alive(progress):
        eta = progress.get("eta_s")
        where = progress.get("host", "")
        return RunStatus(
            name,
            "running",
            **common,
            seconds=now - begun if begun else None,
            eta_s=None if eta is None else max(0.0, eta - (now - updated)),
            metrics=_validated(folder),
            detail=f"on {where}, heard of {clock(now - updated)} ago"
            if where not in ("", socket.gethostname())
            else "",
        )
    if record is not None and (not begun or record.created.timestamp() >= begun - 1):
        return RunStatus(name, "done", **common, seconds=record.cost.wall_s, metrics=dict(record.metrics))
    if suite_lives and begun and not (progress and fresh) and now - begun < START_SECONDS:
        return RunStatus(name, "running", stage="start", seconds=now - begun)
    if record is not None:
        # Begun anew after it was finished, and stopped before the new end.
        return RunStatus(name, "failed", **common, detail=_last_word(folder), resumable=_resumable(folder))
    seconds = max(0.0, updated - begun) if begun and fresh and progress else None
    return RunStatus(name, "failed", **common, seconds=seconds, detail=_last_word(folder), resumable=_resumable(folder))


def _validated(folder: Path) -> dict[str, float]:
    """Return the metrics of the last validation that a run told of, those that are finite."""
    validations = _read_json(folder / VALIDATIONS_NAME).get("validations")
    last = validations[-1] if isinstance(validations, list) and validations else None
    metrics = last.get("metrics") if isinstance(last, dict) else None
    return {key: value for key, value in metrics.items() if value is not None} if isinstance(metrics, dict) else {}


def _run_folders(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        if {FACTS_NAME, RECORD_NAME, PROGRESS_NAME} & set(files):
            folders.clear()
            yield Path(folder)
        # Runs that no longer count, and data, lie in folders with an underscore.
        folders[:] = [name for name in folders if not name.startswith(("_", "."))]


def _name(folder: Path, root: Path) -> str:
    return folder.name if folder == root else folder.relative_to(root).as_posix()


def _last_word(folder: Path) -> str:
    logs = [folder / "log.txt", *sorted(folder.glob("*/*.log"), reverse=True)]
    return next((line for log in logs if (line := last_line(log))), "its process is gone, and it left no log")


def _resumable(folder: Path) -> bool:
    return (folder / "last_checkpoint").is_file()


def _record(folder: Path) -> Record | None:
    try:
        return read_record(folder / RECORD_NAME)
    except UserError:
        return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _mtime(path: Path) -> float | None:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return None


def _started(pid: int) -> tuple[float | None, bool]:
    """Return when a process started (seconds since 1970) and whether it is a zombie; (None, False) if unknown."""
    try:
        # The name in parentheses may hold spaces; what follows it is split.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
        return int(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK"), fields[0] == "Z"
    except (OSError, StopIteration, ValueError, IndexError):
        return None, False
