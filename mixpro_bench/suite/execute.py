"""The local executor: a few runs at once, each with processes, GPUs and a log of its own."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixpro_bench.errors import UserError
from mixpro_bench.suite.outcome import Outcome, upstream_of
from mixpro_bench.suite.process import RunProcess, cores, gpus, stop, torchrun
from mixpro_bench.suite.progress import Display
from mixpro_bench.suite.run import Run, set_aside

POLL_SECONDS = 0.2
GRACE_SECONDS = 15.0


@dataclass(frozen=True)
class LocalExecutor:
    """Runs processes on this machine; see `Executor`.

    Args:
        jobs: Runs at once.
        processes: Processes of each run, one per GPU; on the CPU where there is none.
        devices: The GPUs, as ``CUDA_VISIBLE_DEVICES`` names them. Each run gets those that the fewest others use.

    Raises:
        UserError: If a number is less than one, or there are fewer GPUs than a run asks for.
    """

    jobs: int = 1
    processes: int = 1
    devices: tuple[str, ...] = field(default_factory=gpus)

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise UserError(f"--jobs must be 1 or more, not {self.jobs}")
        if self.processes < 1:
            raise UserError(f"--gpus must be 1 or more, not {self.processes}")
        if self.devices and self.processes > len(self.devices):
            raise UserError(f"--gpus {self.processes}: this machine has {len(self.devices)}")

    def where(self, root: Path) -> dict[str, Any]:
        """Return nothing: runs on this machine are found by the files they write."""
        return {}

    def execute(self, runs: Sequence[Run], root: Path, display: Display) -> list[Outcome]:
        """Do all runs; see `Executor.execute`."""
        by_name = {run.name: run for run in runs}
        outcomes: dict[str, Outcome] = {}
        running: list[RunProcess] = []
        waiting = list(runs)
        display.jobs = self.jobs

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
                found = upstream_of(needed.run)
                if found is None:
                    settle(Outcome(run, "skipped", reason=f"{run.needs} left no checkpoint"))
                    return True
                upstream, checkpoint = found
            state = run.state(upstream)
            if state == "done":
                settle(Outcome(run, "kept"))
                return True
            if len(running) >= self.jobs:
                return False
            if state == "changed":
                moved = set_aside(run.work_dir, root)
                display.note(f"{run.name}: config, data or upstream weights changed; the old run is in {moved}")
            run.begin(upstream)
            words = run.command_line(str(checkpoint) if checkpoint else None, resume=state == "resume")
            command = torchrun(words, self.processes)
            threads = max(1, cores() // (self.jobs * self.processes))
            running.append(RunProcess(run, command, threads=threads, devices=self._free(running)))
            display.start(run)
            return True

        lost = [run.name for run in runs if run.needs is not None and run.needs not in by_name]
        assert not lost, f"runs without what they need: {lost}"
        news = True  # whether anything has happened that can let a waiting run go on
        try:
            while waiting or running:
                if news:
                    waiting = [run for run in waiting if not advance(run)]
                ended = [process for process in running if process.ended()]
                running[:] = [process for process in running if process not in ended]
                for process in ended:
                    reason = process.failure()
                    settle(Outcome(process.run, "failed" if reason else "done", process.seconds, reason))
                news = bool(ended)
                display.update()
                if running:
                    time.sleep(POLL_SECONDS)
        except BaseException:
            stop(running, GRACE_SECONDS)
            raise
        return [outcomes[run.name] for run in runs]

    def _free(self, running: Sequence[RunProcess]) -> list[str]:
        """Return the GPUs of a further run: those that the fewest runs use, in their order."""
        used = Counter(device for process in running for device in process.devices)
        chosen = sorted(self.devices, key=lambda device: used[device])[: self.processes]
        return sorted(chosen, key=self.devices.index)
