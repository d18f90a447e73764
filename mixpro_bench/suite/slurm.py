"""The SLURM executor: every run is a job, transfers depend on their pretraining, and the queue is the only memory.

A second call finds its jobs in the queue by their names, submits neither what waits or runs there nor what is done, and
watches on. Whoever ends the watching leaves the jobs where they are.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.slurm.slurm import SlurmExecutor as Submitit

from mixpro_bench.errors import UserError
from mixpro_bench.suite.outcome import Outcome, upstream_of
from mixpro_bench.suite.progress import Display
from mixpro_bench.suite.queue import (
    GONE,
    NEVER,
    Job,
    cancel,
    facts_tag,
    job_name,
    last_words,
    read_jobs,
    run_command,
    suite_tag,
)
from mixpro_bench.suite.run import Run
from mixpro_bench.suite.slurm_job import RunJob
from mixpro_bench.suite.slurm_options import ROBUSTNESS, SlurmOptions

JOBS_FOLDER = "_slurm"
DRAW_SECONDS = 0.5
# How long a Record may take to become visible here after its job has ended on a node.
ARRIVAL_SECONDS = 60.0
# How often in a row the queue may fail to answer.
PATIENCE = 30


@dataclass
class SlurmExecutor:
    """Submits runs to SLURM and watches them; see `Executor`.

    Args:
        options: What each task asks for.
        wait: Watch until all runs have ended; without it every run that is in the queue is ``queued``.
        poll_seconds: Seconds between two looks at the queue, in the long run; fewer at the start.
    """

    options: Mapping[str, SlurmOptions]
    wait: bool = True
    poll_seconds: float = 10.0
    _failures: int = field(default=0, init=False)

    def where(self, root: Path) -> dict[str, Any]:
        """Return what the jobs go by in the queue."""
        return {"slurm": {"tag": suite_tag(root), "user": os.getuid()}}

    def execute(self, runs: Sequence[Run], root: Path, display: Display) -> list[Outcome]:
        """Submit what is neither done nor in the queue, and watch; see `Executor.execute`.

        Raises:
            UserError: SLURM is not here or refuses, or a job in the queue was submitted under another config.
        """
        tag = suite_tag(root)
        for program in ("sbatch", "srun"):
            run_command(program, "--version")
        jobs = self._own_jobs(runs, tag)
        outcomes = _Outcomes(runs, root, display)
        try:
            for run in runs:
                if run.name in jobs:
                    display.note(f"{run.name}: in the queue as {jobs[run.name]}")
                elif outcomes.finished(run):
                    outcomes.settle(Outcome(run, "kept"))
                else:
                    jobs[run.name] = self._submit(run, outcomes.needed(run), jobs, root, tag)
                    after = f", after {run.needs}" if run.needs in jobs else ""
                    display.note(f"{run.name}: submitted as {jobs[run.name]}{after}")
            if self.wait:
                self._watch(jobs, outcomes, tag)
        except KeyboardInterrupt:
            ids = " ".join(jobs[run.name].id for run in outcomes.missing() if run.name in jobs)
            display.note(f"the jobs stay in the queue: the same command goes on with them, 'scancel {ids}' ends them")
            raise
        return [outcomes.of.get(run.name) or Outcome(run, "queued", reason=str(jobs[run.name])) for run in runs]

    def _own_jobs(self, runs: Sequence[Run], tag: str) -> dict[str, Job]:
        jobs = {name: job for name, job in read_jobs(tag).items() if job.live and job.reason != NEVER}
        for run in runs:
            job = jobs.get(run.name)
            if job is not None and job.facts != facts_tag(run):
                raise UserError(
                    f"{run.name} is in the queue as SLURM job {job.id} with another config or other data: "
                    f"wait for it, or end it with 'scancel {job.id}', and try again"
                )
        return jobs

    def _submit(self, run: Run, needed: Run | None, jobs: Mapping[str, Job], root: Path, tag: str) -> Job:
        options = self.options.get(run.task, self.options[ROBUSTNESS])
        executor = Submitit(root / JOBS_FOLDER, max_num_timeout=options.requeues)
        parameters = options.parameters()
        if needed is not None and needed.name in jobs:
            parameters["dependency"] = f"afterok:{jobs[needed.name].id}"
        executor.update_parameters(job_name=job_name(run, tag), **parameters)
        processes = max(1, options.gpus)
        grace = options.signal_delay_s / 2
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # what sbatch says is in the error too
                job = executor.submit(RunJob(run, needed, root, processes, options.nodes, grace))
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            raise UserError(
                f"sbatch refused {run.name}: {last_words('sbatch', str(error))}; what was submitted before stays in "
                "the queue, and the same command goes on from there"
            ) from error
        return Job(str(job.job_id), run.name, facts_tag(run), "PENDING")

    def _watch(self, jobs: Mapping[str, Job], outcomes: _Outcomes, tag: str) -> None:
        """Look at the queue until every run has an outcome."""
        begin = time.monotonic()
        started: dict[str, float] = {}
        ended: dict[str, float] = {}
        while outcomes.missing():
            told = self._look(tag, outcomes.display)
            now = time.monotonic()
            for run in outcomes.missing() if told is not None else ():
                # What is no longer in the queue has left it between two looks, or while nobody looked.
                job = (told or {}).get(run.name) or replace(jobs[run.name], state=GONE)
                if job.state == "RUNNING" and run.name not in started:
                    started[run.name] = now
                    outcomes.display.start(run)
                if job.live:
                    ended.pop(run.name, None)
                else:
                    ended.setdefault(run.name, now)
                outcome = outcomes.judge(run, job, now - ended.get(run.name, now))
                if outcome is not None:
                    outcomes.settle(replace(outcome, seconds=outcome.seconds or now - started.get(run.name, now)))
            outcomes.display.jobs = max(1, len(started.keys() & {run.name for run in outcomes.missing()}))
            until = now + min(self.poll_seconds, 1 + (now - begin) / 20)
            while outcomes.missing() and (left := until - time.monotonic()) > 0:
                outcomes.display.update()
                time.sleep(min(DRAW_SECONDS, left))

    def _look(self, tag: str, display: Display) -> dict[str, Job] | None:
        """Return the jobs in the queue; None if it does not answer, which it may do for a while."""
        try:
            jobs = read_jobs(tag)
        except UserError as error:
            self._failures += 1
            if self._failures >= PATIENCE:
                raise
            if self._failures == 1:
                display.note(f"{error} (the jobs are not touched by that)")
            return None
        self._failures = 0
        return jobs


class _Outcomes:
    """The outcomes of runs, each judged after that of the run it needs."""

    def __init__(self, runs: Sequence[Run], root: Path, display: Display) -> None:
        self.runs = runs
        self.root = root
        self.display = display
        self.of: dict[str, Outcome] = {}
        self._by_name = {run.name: run for run in runs}

    def missing(self) -> list[Run]:
        """Return the runs without an outcome, in their order."""
        return [run for run in self.runs if run.name not in self.of]

    def needed(self, run: Run) -> Run | None:
        """Return the pretraining that a run needs."""
        return None if run.needs is None else self._by_name[run.needs]

    def settle(self, outcome: Outcome) -> None:
        """Take an outcome down, and show it."""
        self.of[outcome.run.name] = outcome
        self.display.finish(outcome.run, outcome.status, outcome.seconds, outcome.reason)

    def finished(self, run: Run) -> bool:
        """Tell whether a run has a Record that fits what it needs."""
        needed = self.needed(run)
        if needed is None:
            return run.state(None) == "done"
        found = upstream_of(needed) if needed.name in self.of else None
        return found is not None and run.state(found[0]) == "done"

    def judge(self, run: Run, job: Job, ended: float) -> Outcome | None:
        """Return the outcome of a run whose job is in a certain state, if it can be told yet.

        Args:
            run: The run.
            job: Its job.
            ended: Seconds since the job was first seen to have ended.
        """
        needed = self.needed(run)
        if needed is not None and needed.name not in self.of:
            return None
        if needed is not None and not self.of[needed.name].ok:
            if job.live:
                with contextlib.suppress(UserError):  # gone by itself meanwhile
                    cancel(job)
            return Outcome(run, "skipped", reason=f"{needed.name} {self.of[needed.name].status}")
        if job.live:
            return None
        if self.finished(run):
            record = run.record()
            return Outcome(run, "done", (record.cost.wall_s if record else None) or 0.0)
        if job.state in ("COMPLETED", GONE):
            # Folders shared by machines show what was written elsewhere with some delay.
            if ended < ARRIVAL_SECONDS:
                return None
            return Outcome(run, "failed", reason=f"{job} ended without a Record")
        # A run that never began has no log of its own.
        log = "" if run.log.exists() else f", see {self.root / JOBS_FOLDER / job.id}_0_log.err"
        return Outcome(run, "failed", reason=f"{job} {job.state}{log}")
