"""What a suite shows while it runs: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from mixpro_bench.suite.run import Run

PROGRESS_NAME = "progress.json"
LINE_SECONDS = 30.0


@dataclass
class _Seen:
    run: Run
    started: float
    state: dict[str, Any]
    bar: TaskID | None = None


def read_progress(run: Run, since: float) -> dict[str, Any]:
    """Return what the run last said of itself; empty before it said anything since ``since`` (seconds since 1970)."""
    try:
        state = json.loads((run.work_dir / PROGRESS_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    # An earlier session of the same run left its last word behind.
    return state if isinstance(state, dict) and state.get("updated", 0) >= since else {}


class Display:
    """Shows one bar per running run and one for the whole suite, or a line now and then where there is no terminal.

    Args:
        runs: All runs of the suite.
        jobs: Runs at once, for the time that is left; an executor may correct it while it goes.
        console: Where to; standard output by default.
        line_seconds: Without a terminal, the least time between two lines about one run's progress.
    """

    def __init__(
        self, runs: Sequence[Run], jobs: int, console: Console | None = None, line_seconds: float = LINE_SECONDS
    ) -> None:
        self.console = console or Console()
        self._runs = list(runs)
        self.jobs = jobs
        self._line_seconds = line_seconds
        self._lined = time.monotonic()
        self._drawn = 0.0
        self._running: dict[str, _Seen] = {}
        self._ended: set[str] = set()
        self._took: dict[str, list[float]] = {}
        self._bars: Progress | None = None
        self._whole: TaskID | None = None

    def __enter__(self) -> Display:
        """Begin to draw."""
        if self.console.is_terminal:
            # Drawn by the executor's own loop: a drawing thread and forked processes do not go together well.
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[detail]}"),
                TimeElapsedColumn(),
                console=self.console,
                auto_refresh=False,
            )
            self._whole = self._bars.add_task("whole suite", total=len(self._runs), detail="")
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state on the screen."""
        if self._bars is not None:
            self._draw()
            self._bars.stop()

    def note(self, text: str) -> None:
        """Print one line, above the bars if there are any."""
        self.console.print(escape(text), highlight=False, soft_wrap=True)

    def start(self, run: Run) -> None:
        """A run has started."""
        seen = _Seen(run, time.time(), {})
        if self._bars is not None:
            seen.bar = self._bars.add_task(escape(run.name), total=None, detail="starting")
        else:
            self.note(f"{self._count()} {run.name} started, log {run.log}")
        self._running[run.name] = seen

    def finish(self, run: Run, status: str, seconds: float, reason: str) -> None:
        """A run has ended, or needs no running."""
        self._ended.add(run.name)
        seen = self._running.pop(run.name, None)
        if self._bars is not None and seen is not None and seen.bar is not None:
            self._bars.remove_task(seen.bar)
        if status == "done":
            self._took.setdefault(run.task, []).append(seconds)
        words = {
            "done": f"done in {clock(seconds)}",
            "kept": "already done",
            "failed": f"FAILED after {clock(seconds)}: {reason}",
            "skipped": f"skipped: {reason}",
        }
        self.note(f"{self._count()} {run.name} {words[status]}")

    def update(self) -> None:
        """Read how far the runs are and show it, as often as is useful."""
        for seen in self._running.values():
            seen.state = read_progress(seen.run, seen.started) or seen.state
        if self._bars is not None:
            if time.monotonic() - self._drawn >= 0.4:
                self._draw()
        elif self._running and time.monotonic() - self._lined >= self._line_seconds:
            self._lined = time.monotonic()
            for seen in self._running.values():
                self.note(f"  {seen.run.name} {_detail(seen.state)}")
            self.note(f"  whole suite {self._count()}{self._left()}")

    def eta(self) -> float | None:
        """Estimate the seconds until all is done; None as long as no run has told its pace."""
        now = time.time()
        known = {task: list(took) for task, took in self._took.items()}
        left = 0.0
        for seen in self._running.values():
            if seen.state.get("eta_s") is not None:
                rest = max(0.0, seen.state["eta_s"] - (now - seen.state["updated"]))
                known.setdefault(seen.run.task, []).append(now - seen.started + rest)
                left += rest
        if not known:
            return None
        usual = {task: sum(took) / len(took) for task, took in known.items()}
        overall = sum(usual.values()) / len(usual)
        for run in self._runs:
            if run.name in self._ended:
                continue
            current = self._running.get(run.name)
            if current is None:
                left += usual.get(run.task, overall)
            elif current.state.get("eta_s") is None:
                left += max(0.0, usual.get(run.task, overall) - (now - current.started))
        return left / self.jobs

    def _draw(self) -> None:
        assert self._bars is not None
        assert self._whole is not None
        self._drawn = time.monotonic()
        parts = 0.0
        for seen in self._running.values():
            done, total = seen.state.get("iter", 0), seen.state.get("max_iters")
            parts += done / total if total else 0.0
            if seen.bar is not None:
                self._bars.update(seen.bar, completed=done, total=total, detail=_detail(seen.state))
        detail = f"{len(self._ended)}/{len(self._runs)} runs{self._left()}"
        self._bars.update(self._whole, completed=len(self._ended) + parts, detail=detail)
        self._bars.refresh()

    def _left(self) -> str:
        eta = self.eta()
        return f", about {clock(eta)} left" if eta is not None and len(self._ended) < len(self._runs) else ""

    def _count(self) -> str:
        return f"[{len(self._ended)}/{len(self._runs)}]"


def clock(seconds: float) -> str:
    """Write a duration for people.

    Examples:
        >>> clock(75), clock(4000)
        ('1:15', '1:06:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _detail(state: dict[str, Any]) -> str:
    if not state:
        return "starting"
    text = f"{state.get('stage', '')} {state.get('iter', 0)}/{state.get('max_iters') or '?'}"
    eta = state.get("eta_s")
    return text if eta is None else f"{text}, {clock(eta)} left"
