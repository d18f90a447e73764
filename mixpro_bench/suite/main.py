"""A suite from its config to the leaderboard."""

from __future__ import annotations

import contextlib
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console
from rich.markup import escape

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.index import load_index
from mixpro_bench.leaderboard.table import build_tables
from mixpro_bench.leaderboard.write import print_tables, write_csv, write_markdown
from mixpro_bench.suite.estimate import TFLOPS, sentences
from mixpro_bench.suite.execute import LocalExecutor
from mixpro_bench.suite.outcome import Executor, Outcome
from mixpro_bench.suite.plan import Plan
from mixpro_bench.suite.process import last_line
from mixpro_bench.suite.progress import Display, clock
from mixpro_bench.suite.status import write_plan


def run_suite(plan: Plan, root: str | Path, *, executor: Executor | None = None, console: Console | None = None) -> int:
    """Do what is still to do of a suite, list what failed, and end with the leaderboard.

    Args:
        plan: The runs.
        root: Work dir of the suite.
        executor: Does the runs; by default this machine, as many at once as the plan says.
        console: Where to; standard output by default.

    Returns:
        0 if every run has a Record or is in a queue, 1 otherwise.

    Raises:
        UserError: If another suite works in ``root``.
    """
    root, executor, console = Path(root).absolute(), executor or LocalExecutor(plan.jobs), console or Console()
    with _locked(root), _interruptible(), Display(plan.runs, plan.jobs, console) as display:
        write_plan(plan, root, executor.where(root))
        outcomes = executor.execute(plan.runs, root, display)
    show_leaderboard(root, console, plan.baseline)
    return report(outcomes, console)


def dry_run(plan: Plan, console: Console | None = None, tflops: float = TFLOPS) -> int:
    """Say for each run what would be done, what that costs, which data are missing, and which were not checked.

    Args:
        plan: The runs.
        console: Where to; standard output by default.
        tflops: What a GPU is taken to sustain, in 1e12 operations per second.
    """
    console = console or Console()
    records = {run.name: run.record() for run in plan.runs}
    done: set[str] = set()
    words = {"done": "done", "fresh": "to run", "resume": "to resume", "changed": "to run anew (something changed)"}
    for run in plan.runs:
        if run.needs is not None and run.needs not in done:
            text = f"to run after {run.needs}"
        else:
            state = run.state(records[run.needs] if run.needs else None)
            text = words[state]
            if state == "done":
                done.add(run.name)
        console.print(escape(f"{run.name}: {text}"), highlight=False, soft_wrap=True)
    console.print(f"{len(plan.runs)} runs, {len(done)} of them done", highlight=False)
    for sentence in sentences([run for run in plan.runs if run.name not in done], plan.costs, tflops):
        console.print(escape(f"estimate: {sentence}"), highlight=False, soft_wrap=True)
    for sentence in plan.missing:
        console.print(escape(f"missing: {sentence}"), highlight=False, soft_wrap=True)
    for sentence in plan.unchecked:
        console.print(escape(f"unchecked: {sentence}"), highlight=False, soft_wrap=True)
    return 0


def show_leaderboard(root: Path, console: Console, baseline: str | None = None) -> None:
    """Print the leaderboard of all Records below ``root`` and write it beside them.

    Args:
        root: Work dir of the suite.
        console: Where to.
        baseline: Method that gains are measured against; without a Record of it no gains are shown.
    """
    try:
        index = load_index(root)
    except UserError as error:
        console.print(escape(f"no leaderboard: {error}"), highlight=False, soft_wrap=True)
        return
    for _, reason in index.bad:
        console.print(escape(f"left out: {reason}"), highlight=False, soft_wrap=True)
    records = [record for _, record in index.records]
    try:
        tables = build_tables(records, baseline=baseline)
    except UserError as error:  # its run failed, or two rows go by its name
        console.print(escape(f"no gains: {error}"), highlight=False, soft_wrap=True)
        tables = build_tables(records)
    print_tables(tables, console)
    for path in (write_markdown(tables, root / "leaderboard.md"), write_csv(tables, root / "leaderboard.csv")):
        console.print(escape(f"written: {path}"), highlight=False, soft_wrap=True)


def report(outcomes: Sequence[Outcome], console: Console) -> int:
    """List what failed, each with its log and the log's last line, and return the exit status."""

    def say(text: str) -> None:
        console.print(escape(text), highlight=False, soft_wrap=True)

    count = Counter(outcome.status for outcome in outcomes)
    spent = sum(outcome.seconds for outcome in outcomes)
    queued = f", {count['queued']} in the queue" if count["queued"] else ""
    say(
        f"{len(outcomes)} runs: {count['done']} done now, {count['kept']} done before, {count['failed']} failed, "
        f"{count['skipped']} skipped{queued}; {clock(spent)} of run time"
    )
    for outcome in outcomes:
        if outcome.status == "failed":
            say(f"FAILED {outcome.run.name} ({outcome.reason}), log {outcome.run.log}")
            say(f"    {last_line(outcome.run.log)}")
        elif outcome.status == "skipped":
            say(f"SKIPPED {outcome.run.name}: {outcome.reason}")
    return 0 if all(outcome.ok or outcome.status == "queued" for outcome in outcomes) else 1


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / ".suite.lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{root} is in use by another suite: wait for it, or give another --work-dir") from None
    except OSError as error:
        raise UserError(f"{root} cannot be written to ({error.strerror}): give another --work-dir") from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end a suite as Ctrl-C does: its runs are ended first, and can be taken up again."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread: whoever called has its own way
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
