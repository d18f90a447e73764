"""SLURM's queue: which runs of a suite wait or run there."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixpro_bench.errors import UserError
from mixpro_bench.suite.run import Run

SECONDS = 60.0
FRESH_SECONDS = 5.0
# States that a job does not leave any more; all others come back or go on.
FINAL = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    }
)
NEVER = "DependencyNeverSatisfied"
# Our own word for a job that the queue does not know any more.
GONE = "GONE"

_seen: dict[tuple[str, int], tuple[float, dict[str, Job] | None]] = {}


@dataclass(frozen=True)
class Job:
    """A job as the queue tells of it.

    Attributes:
        id: Its number.
        run: Name of its run.
        facts: Short hash of what the run was when it was submitted.
        state: SLURM's word, such as ``PENDING`` or ``RUNNING``.
        reason: Why it waits, in SLURM's words.
    """

    id: str
    run: str
    facts: str
    state: str
    reason: str = ""

    @property
    def live(self) -> bool:
        """Whether it waits or runs."""
        return self.state not in FINAL and self.state != GONE

    def __str__(self) -> str:
        """Name the job, and why it waits."""
        waits = self.state == "PENDING" and self.reason not in ("", "None", "(null)")
        return f"SLURM job {self.id}" + (f", {self.reason}" if waits else "")


def suite_tag(root: Path) -> str:
    """Return a short name of a work dir: job names carry it, so that a suite knows its jobs by the queue alone."""
    return _short(str(root.resolve()))


def job_name(run: Run, tag: str) -> str:
    """Return the name of a run's job: the run, the suite, and what the run is."""
    return f"{run.name}@{tag}-{facts_tag(run)}"


def facts_tag(run: Run) -> str:
    """Return a short hash of what a run is."""
    return _short(repr((sorted(run.facts.items()), run.seed, run.config_text, run.command)))


def read_jobs(tag: str, user: int | None = None) -> dict[str, Job]:
    """Return the newest job of each run of a suite, those that ended a few minutes ago included.

    Args:
        tag: See `suite_tag`.
        user: Number of the user who submitted them; oneself by default.

    Raises:
        UserError: The queue cannot be read.
    """
    user = os.getuid() if user is None else user
    text = run_command("squeue", "--noheader", "--states=all", f"--user={user}", "--format=%i|%T|%r|%j")
    return parse_jobs(text.splitlines(), tag)


def jobs_of(plan: Mapping[str, Any]) -> dict[str, Job] | None:
    """Return the jobs that wait or run for a suite; None if it is not done by SLURM, or the queue cannot be read here.

    Within `FRESH_SECONDS` the queue is asked once: whoever watches a work dir looks at it more often than that.

    Args:
        plan: What the suite wrote of itself, with ``slurm`` if that does its runs.
    """
    told = plan.get("slurm")
    if not isinstance(told, Mapping) or not isinstance(told.get("tag"), str) or not isinstance(told.get("user"), int):
        return None
    key, now = (told["tag"], told["user"]), time.monotonic()
    if key not in _seen or now - _seen[key][0] > FRESH_SECONDS:
        try:
            _seen[key] = now, {name: job for name, job in read_jobs(*key).items() if job.live}
        except UserError:
            _seen[key] = now, None
    return _seen[key][1]


def parse_jobs(lines: Iterable[str], tag: str) -> dict[str, Job]:
    """Pick the newest job of each run of a suite out of ``id|state|reason|name`` lines.

    Examples:
        >>> lines = ["7|PENDING|Dependency|det/none/seed0@12ab-34cd", "8|RUNNING|None|mine"]
        >>> parse_jobs(lines, "12ab")["det/none/seed0"].id
        '7'
    """
    found: dict[str, Job] = {}
    for line in lines:
        number, state, reason, name = (line.strip().split("|", 3) + [""] * 4)[:4]
        run, _, tags = name.rpartition("@")
        suite, _, facts = tags.partition("-")
        if suite == tag and number.isdigit() and (run not in found or int(found[run].id) < int(number)):
            found[run] = Job(number, run, facts, state, reason)
    return found


def cancel(job: Job) -> None:
    """Take a job out of the queue."""
    run_command("scancel", job.id)


def run_command(*words: str) -> str:
    """Run a command of SLURM and return what it says.

    Raises:
        UserError: It is not there, does not answer, or fails.
    """
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise UserError(
            f"SLURM's {words[0]} is not on this machine: call the suite on a login node, or with --executor local"
        ) from None
    except subprocess.TimeoutExpired:
        raise UserError(f"SLURM's {words[0]} did not answer within {SECONDS:.0f} s: try again later") from None
    if done.returncode:
        said = last_words(words[0], done.stderr or done.stdout) or f"exit status {done.returncode}"
        raise UserError(f"SLURM's {words[0]} failed: {said}")
    return done.stdout


def last_words(program: str, text: str) -> str:
    r"""Return the last line that a program of SLURM said, without its name.

    Examples:
        >>> last_words("sbatch", "sbatch: error: invalid partition\nsbatch: error: Invalid partition name\n")
        'Invalid partition name'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    own = [line for line in lines if line.startswith(f"{program}: ")]
    last = (own or lines or [""])[-1]
    for prefix in (f"{program}: ", "error: ", "Batch job submission failed: "):
        last = last.removeprefix(prefix)
    return last


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
