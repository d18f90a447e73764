"""What an executor is, and what it says of every run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from mixpro_bench.leaderboard.record import Record
from mixpro_bench.suite.progress import Display
from mixpro_bench.suite.run import Run, checkpoint_of

Status = Literal["done", "kept", "failed", "skipped", "queued"]


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        run: The run.
        status: ``done`` now, ``kept`` from before, ``failed``, ``skipped`` because what it needs failed, or ``queued``:
            handed to a cluster and not waited for.
        seconds: What it took.
        reason: Why it failed or was skipped, or where it waits.
    """

    run: Run
    status: Status
    seconds: float = 0.0
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether the run has a valid Record."""
        return self.status in ("done", "kept")


class Executor(Protocol):
    """Does the runs of a suite somewhere: on this machine (`LocalExecutor`) or on a cluster (`SlurmExecutor`)."""

    def execute(self, runs: Sequence[Run], root: Path, display: Display) -> list[Outcome]:
        """Do all runs, each after what it needs, and go on when one fails.

        Args:
            runs: The runs; a needed one stands before those that need it.
            root: Work dir of the suite.
            display: Is told of everything that happens.

        Returns:
            An outcome for each run, in the order of ``runs``.
        """
        ...

    def where(self, root: Path) -> dict[str, Any]:
        """Return what others need to know to find the runs, as primitives; it stands in the plan in the work dir."""
        ...


def upstream_of(needed: Run) -> tuple[Record, Path] | None:
    """Return the Record and the checkpoint of a finished pretraining; None if either is not there."""
    record = needed.record()
    checkpoint = checkpoint_of(record, needed.work_dir) if record else None
    return (record, checkpoint) if record and checkpoint else None
