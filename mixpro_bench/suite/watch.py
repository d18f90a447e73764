"""A work dir as it changes, in the terminal: which runs there are, how far they are, and what they last told."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mixpro_bench.leaderboard.metrics import METRICS
from mixpro_bench.suite.progress import clock
from mixpro_bench.suite.status import STATES, RunStatus, read_status, to_json

COLUMNS = ("run", "state", "progress", "time", "left", "loss", "last word")
STYLES = {"done": "green", "running": "bold cyan", "failed": "bold red", "waiting": "dim"}
# Where there is no room for all, those in which something happens stay.
FIRST = ("running", "failed", "waiting", "done")
SHOWN_METRICS = 3
BARS_FROM = 110
# Lines of a view that are no run: title, head of the table, the line on what is left out, and the cursor's.
AROUND = 4


def watch(root: str | os.PathLike[str], *, interval: float = 2.0, console: Console | None = None) -> int:
    """Show a work dir until nothing in it can change by itself any more, or until Ctrl-C.

    Args:
        root: Work dir of a suite, of one run, or a folder of several.
        interval: Seconds between two looks at it.
        console: A terminal; standard output by default.

    Returns:
        0, also after Ctrl-C; 1 if it ended with a failed run.

    Raises:
        UserError: If there is no such folder, or no run in it.
    """
    console = console or Console()
    facts = look(root)
    # Nothing is drawn by a thread: each view is made of one look.
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, screen=True, auto_refresh=False) as live:
        while is_going_on(facts):
            live.update(view(facts, *console.size), refresh=True)
            # A folder of thousands of runs takes its time to read; then it is read less often.
            time.sleep(max(interval, 4 * facts["took"]))
            facts = look(root)
    console.print(view(facts, console.width))
    return 1 if facts["counts"]["failed"] and not is_going_on(facts) else 0


def look(root: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a work dir: what `mixpro_bench.suite.status.to_json` tells, the statuses, and the seconds it took."""
    started = time.monotonic()
    statuses = read_status(root)
    return {**to_json(root, statuses), "statuses": statuses, "took": time.monotonic() - started}


def is_going_on(facts: Mapping[str, Any]) -> bool:
    """Tell whether a run is running, or a living suite has runs to start."""
    suite_lives = bool(facts["suite"] and facts["suite"]["running"])
    return facts["counts"]["running"] > 0 or (suite_lives and facts["counts"]["waiting"] > 0)


def view(facts: Mapping[str, Any], width: int = 80, height: int | None = None) -> RenderableType:
    """Draw one look.

    Args:
        facts: What `look` returned.
        width: Columns there are; bars are drawn where there are `BARS_FROM`.
        height: Lines there are; None for as many as are needed.
    """
    statuses: Sequence[RunStatus] = facts["statuses"]
    shown = _chosen(statuses, None if height is None else max(1, height - AROUND))
    rows = [
        (
            Text(status.name),
            Text(status.state, STYLES[status.state]),
            _progress(status, bar=width >= BARS_FROM),
            *("" if value is None else clock(value) for value in (status.seconds, status.eta_s)),
            _loss(status),
            Text(_last_word(status)),
        )
        for status in shown
    ]
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    kept = [k for k, title in enumerate(COLUMNS) if title == "run" or any(row[k] for row in rows)]
    for k in kept:
        last = COLUMNS[k] == "last word"
        justify: Any = "right" if COLUMNS[k] in ("time", "left", "loss") else "left"
        table.add_column(
            COLUMNS[k],
            justify=justify,
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if last else None,
            min_width=12 * last,
        )
    for row in rows:
        table.add_row(*(row[k] for k in kept))
    parts: list[RenderableType] = [_title(facts), table]
    if left_out := len(statuses) - len(shown):
        hidden = [status for status in statuses if status not in shown]
        counts = ", ".join(f"{n} {s}" for s in STATES if (n := sum(one.state == s for one in hidden)))
        parts.append(Text(f"and {left_out} more: {counts}", "dim"))
    return Group(*parts)


def time_left(statuses: Sequence[RunStatus]) -> float | None:
    """Estimate the seconds until all is done, as many runs going on at once as now; None where no run tells its pace.

    A waiting run is taken to need what others of its task need, or else what the others need on average.
    """
    took: dict[str, list[float]] = {}
    for status in statuses:
        if status.state == "done" and status.seconds:
            took.setdefault(_task(status), []).append(status.seconds)
        elif status.state == "running" and status.seconds is not None and status.eta_s is not None:
            took.setdefault(_task(status), []).append(status.seconds + status.eta_s)
    running = [status for status in statuses if status.state == "running"]
    if not took or not running:
        return None
    usual = {task: sum(times) / len(times) for task, times in took.items()}
    overall = sum(usual.values()) / len(usual)
    left = 0.0
    for status in statuses:
        whole = usual.get(_task(status), overall)
        if status.state == "waiting":
            left += whole
        elif status.state == "running":
            left += max(0.0, whole - (status.seconds or 0)) if status.eta_s is None else status.eta_s
    return left / len(running)


def brief(metrics: Mapping[str, float]) -> str:
    """Write the metrics that matter most, as the leaderboard calls and scales them; the first ones of unknown sets.

    Examples:
        >>> brief({"coco/bbox_mAP_s": 0.1, "coco/bbox_mAP": 0.3127, "coco/segm_mAP": 0.29})
        'box AP 31.3, mask AP 29.0'
        >>> brief({"accuracy": 0.5})
        'accuracy 0.5'
    """
    known = [metric for metric in METRICS if metric.raw in metrics]
    best = sorted(known, key=lambda metric: metric.detail)[:SHOWN_METRICS]
    words = [f"{m.title} {m.scale * metrics[m.raw]:.{m.decimals}f}" for m in best if m.detail <= 1] or [
        f"{key} {value:.4g}" for key, value in list(metrics.items())[:SHOWN_METRICS]
    ]
    return ", ".join(words)


def _chosen(statuses: Sequence[RunStatus], room: int | None) -> list[RunStatus]:
    if room is None or len(statuses) <= room:
        return list(statuses)
    order = sorted(range(len(statuses)), key=lambda k: FIRST.index(statuses[k].state))
    return [statuses[k] for k in sorted(order[:room])]


def _title(facts: Mapping[str, Any]) -> Text:
    suite = facts["suite"]
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(str(suite["name"]) if suite else Path(facts["work_dir"]).name, "bold")
    if suite and not suite["running"]:
        text.append(" (the suite is not running)", "yellow")
    for state in STATES:
        if facts["counts"][state]:
            text.append("  ")
            text.append(f"{facts['counts'][state]} {state}", STYLES[state])
    left = time_left(facts["statuses"])
    if left is not None:
        text.append(f"  about {clock(left)} left")
    text.append(f"  {time.strftime('%H:%M:%S')}", "dim")
    return text


def _progress(status: RunStatus, bar: bool) -> RenderableType:
    if status.state == "done":
        return ""
    if status.iter is None:
        return status.stage or ""
    words = f"{status.iter}/{status.max_iters or '?'}"
    if status.max_epochs:
        words += f" epoch {min((status.epoch or 0) + 1, status.max_epochs)}/{status.max_epochs}"
    if status.state == "running" and status.stage != "train":
        words += f" {status.stage}"
    if status.state != "running" or not bar:
        return words
    row = Table.grid(padding=(0, 1))
    row.add_row(ProgressBar(total=status.max_iters or None, completed=status.iter, width=8), Text(words))
    return row


def _loss(status: RunStatus) -> str:
    return "" if status.loss is None else status.loss if isinstance(status.loss, str) else f"{status.loss:.4g}"


def _last_word(status: RunStatus) -> str:
    metrics = brief(status.metrics)
    return ", ".join(filter(None, (metrics, status.detail, "can be resumed" * status.resumable)))


def _task(status: RunStatus) -> str:
    return status.name.split("/", 1)[0]
