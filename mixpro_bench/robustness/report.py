"""Progress bars and results of the parts in the terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from mixpro_bench.robustness.run import Outcome
from mixpro_bench.robustness.subject import Advance

# Rows of a part's table; the rest is in its Record.
MOST = 16


class Reporter:
    """Shows a bar per part while it runs, and its numbers when it is done; only the main process shows anything."""

    def __init__(self) -> None:
        from mmengine.dist import is_main_process

        self.console = Console(quiet=not is_main_process())
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
        )

    def __enter__(self) -> Reporter:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def progress(self, name: str) -> Advance:
        """Return what a part is to tell its progress to."""
        task = self.bars.add_task(name, total=None)
        return lambda done, total: self.bars.update(task, completed=done, total=total)

    def done(self, outcome: Outcome) -> None:
        """Show what a part found."""
        when = "" if outcome.fresh else " (measured before)"
        table = Table("metric", "value", title=f"{outcome.name}{when}", title_justify="left")
        metrics = outcome.record.metrics
        for name, value in list(metrics.items())[:MOST]:
            table.add_row(name, f"{value:.4g}")
        if len(metrics) > MOST:
            table.add_row(f"and {len(metrics) - MOST} more", "")
        if metrics:
            self.console.print(table)
        for note in (outcome.record.model_extra or {}).get("notes", ()):
            self.console.print(f"{'note' if metrics else outcome.name}: {note}")
        if metrics:
            self.console.print(f"Record: {outcome.path}", soft_wrap=True)
