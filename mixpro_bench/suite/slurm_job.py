"""What a job of a suite does on its node: finds out how its run stands, starts or resumes it, and answers for it.

submitit brings an object of this module to the node, calls it, and calls `RunJob.checkpoint` before SLURM ends the job
for its time limit or for another job; the job then goes back into the queue and resumes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from submitit.core.utils import DelayedSubmission
from submitit.slurm.slurm import SlurmJobEnvironment

from mixpro_bench.suite.outcome import upstream_of
from mixpro_bench.suite.process import RunProcess, cores, stop, torchrun
from mixpro_bench.suite.run import Run, set_aside


class RunFailed(Exception):
    """Makes the job fail, so that nothing that needs the run is started."""


@dataclass
class RunJob:
    """One run as a job.

    Args:
        run: The run.
        needed: The pretraining it needs, finished when the job starts.
        root: Work dir of the suite.
        processes: Processes per node: one per GPU.
        nodes: Nodes.
        grace: Seconds that the run has to end when it is told to.
    """

    run: Run
    needed: Run | None
    root: Path
    processes: int = 1
    nodes: int = 1
    grace: float = 30.0
    _running: list[RunProcess] = field(default_factory=list)

    def __call__(self) -> None:
        """Do the run, unless it is done."""
        first = int(os.environ.get("SLURM_NODEID", "0")) == 0
        try:
            self._run(first)
        except RunFailed as error:
            if first and self.run.work_dir.is_dir():
                with self.run.log.open("a", encoding="utf-8") as log:
                    log.write(f"{error}\n")
            raise

    def checkpoint(self) -> DelayedSubmission:
        """End the run, and return what is to be done when the job starts again."""
        stop(self._running, self.grace)
        return DelayedSubmission(RunJob(self.run, self.needed, self.root, self.processes, self.nodes, self.grace))

    def _run(self, first: bool) -> None:
        found = upstream_of(self.needed) if self.needed else None
        if self.needed and found is None:
            raise RunFailed(f"{self.needed.name} left no checkpoint in {self.needed.work_dir}")
        upstream, checkpoint = found or (None, None)
        state = self.run.state(upstream)
        if state == "done":
            return
        if first:
            if state == "changed":
                print(f"something changed; the old run is in {set_aside(self.run.work_dir, self.root)}", flush=True)
            self.run.begin(upstream)
        # The other nodes start at once: torchrun makes them wait for the first, and with --resume it is left to the
        # work dir whether there is anything to resume.
        words = self.run.command_line(str(checkpoint) if checkpoint else None, resume=True)
        command = torchrun(words, self.processes, rendezvous(self.nodes, os.environ))
        log = None if first else self.root / "_slurm" / f"{os.environ['SLURM_JOB_ID']}_node{os.environ['SLURM_NODEID']}"
        threads = max(1, int(os.environ.get("SLURM_CPUS_PER_TASK") or cores()) // self.processes)
        usual = getattr(signal, f"SIG{SlurmJobEnvironment.USR_SIG}")
        process = RunProcess(self.run, command, threads=threads, log=log, ignored=[usual])
        self._running = [process]
        # In short waits: `checkpoint` interrupts this one, and has to wait for the same process.
        while not process.wait(1.0):
            pass
        reason = process.failure(record=first)
        if reason:
            raise RunFailed(f"{self.run.name} failed: {reason}")


def rendezvous(nodes: int, environment: Mapping[str, str]) -> list[str]:
    """Return torchrun's arguments that bring several nodes together; empty for one.

    Args:
        nodes: Nodes.
        environment: SLURM's, which says which node this is and where the first one is.
    """
    if nodes == 1:
        return []
    # The batch script, which called srun, is on the first node.
    address = environment["SLURM_LAUNCH_NODE_IPADDR"]
    port = 20000 + int(environment["SLURM_JOB_ID"]) % 20000
    first = [f"--nnodes={nodes}", f"--node-rank={environment['SLURM_NODEID']}"]
    return [*first, f"--master-addr={address}", f"--master-port={port}"]
