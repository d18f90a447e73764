"""What a suite asks of SLURM: a dict in the suite config, words on the command line, and options of sbatch in the end.

```python
slurm = dict(
    partition="gpu",
    gpus=8,  # per node; each run is one job, with a process per GPU
    cpus_per_task=64,
    time="2-00:00:00",
    det=dict(time="12:00:00"),  # what differs for a task
)
```
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mixpro_bench.errors import UserError

# Read here; everything else goes to sbatch.
OWN = ("gpus", "nodes", "time", "requeues", "signal_delay_s", "setup")
# Options of sbatch that submitit takes by name.
NAMED = (
    "account", "comment", "constraint", "cpus_per_gpu", "cpus_per_task", "exclude", "exclusive", "gres", "mail_type",
    "mail_user", "mem", "mem_per_cpu", "mem_per_gpu", "nodelist", "partition", "qos", "wckey",
)  # fmt: skip
# Set by the suite itself.
TAKEN = ("array", "dependency", "error", "job_name", "ntasks", "ntasks_per_node", "output", "requeue", "signal")
CPUS_PER_GPU = 8
# The parts of robustness have one name here.
ROBUSTNESS = "robustness"
TASKS = ("pretrain", "det", "seg", ROBUSTNESS)


@dataclass(frozen=True)
class SlurmOptions:
    """What one run asks for.

    Attributes:
        gpus: GPUs per node, and processes; 0 is one process per node, without a GPU.
        nodes: Nodes.
        minutes: Time limit. A run that reaches it goes back into the queue and is resumed.
        requeues: How often a run may reach its time limit; preemptions are not counted.
        signal_delay_s: Seconds before the time limit in which the run is ended in order.
        setup: Lines of shell before the run, such as ``module load cuda``.
        sbatch: Further options of sbatch. Without one about CPUs, a GPU comes with `CPUS_PER_GPU` of them.
    """

    gpus: int = 1
    nodes: int = 1
    minutes: int = 24 * 60
    requeues: int = 20
    signal_delay_s: int = 120
    setup: tuple[str, ...] = ()
    sbatch: Mapping[str, Any] = field(default_factory=dict)

    @property
    def processes(self) -> int:
        """Processes of one run."""
        return max(1, self.gpus) * self.nodes

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of a submitit executor for SLURM."""
        named = {key: value for key, value in self.sbatch.items() if key in NAMED}
        others = {key.replace("_", "-"): value for key, value in self.sbatch.items() if key not in NAMED}
        if self.gpus:
            named["gpus_per_node"] = self.gpus
            if not any("cpus" in key for key in self.sbatch):
                named["cpus_per_task"] = CPUS_PER_GPU * self.gpus
        # Since SLURM 22.05 srun does not take this over from sbatch.
        step = [f"--cpus-per-task={named['cpus_per_task']}"] if "cpus_per_task" in named else []
        return {
            **named,
            "srun_args": step,
            "nodes": self.nodes,
            "ntasks_per_node": 1,
            "time": self.minutes,
            "signal_delay_s": self.signal_delay_s,
            "setup": list(self.setup) or None,
            # Preempted runs come back; runs whose pretraining failed do not wait for ever.
            "additional_parameters": {"requeue": True, "kill-on-invalid-dep": "yes", **others},
        }


def read_options(settings: Mapping[str, Any] | None, words: Sequence[str] = ()) -> dict[str, SlurmOptions]:
    """Return the options of each task.

    Args:
        settings: The suite config's ``slurm`` dict.
        words: ``key=value`` or ``task.key=value``, which win over the settings.

    Raises:
        UserError: An option is unknown, taken by the suite, or of a wrong value.
    """
    merged: dict[str, Any] = dict(settings or {})
    by_task = {task: dict(merged.pop(task, {})) for task in TASKS}
    for word in words:
        key, equals, text = word.partition("=")
        task, dot, inner = key.partition(".")
        value: Any = True if text.lower() == "true" else text
        if not equals or not key or (dot and task not in TASKS):
            raise UserError(f"--slurm {word} is not key=value or task.key=value, such as partition=gpu or det.gpus=4")
        if dot:
            by_task[task][inner] = value
        else:
            merged[key] = value
            for own in by_task.values():
                own.pop(key, None)
    return {task: _options({**merged, **own}) for task, own in by_task.items()}


def minutes_of(value: Any) -> int:
    """Return a time limit in minutes, rounded up; it is written as sbatch takes it.

    Raises:
        UserError: It is written in another way, or is not positive.

    Examples:
        >>> minutes_of(90), minutes_of("1:30:00"), minutes_of("2-12"), minutes_of("0-0:0:30")
        (90, 90, 3600, 1)
    """
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", str(value))
    if match:
        days, *fields = match.groups()
        first, second, third = (int(text) if text is not None else 0 for text in fields)
        if days is not None or fields[2] is not None:  # D-H[:M[:S]] or H:M:S
            seconds = int(days or 0) * 86400 + first * 3600 + second * 60 + third
        else:  # M[:S]
            seconds = first * 60 + second
        if seconds > 0:
            return math.ceil(seconds / 60)
    raise UserError(f"slurm time is {value!r}: write minutes, hours:minutes:seconds or days-hours, such as '2-00'")


def _options(told: dict[str, Any]) -> SlurmOptions:
    told = {key.replace("-", "_"): value for key, value in told.items()}
    for key, value in told.items():
        if key in TAKEN:
            raise UserError(f"slurm option {key!r} is set by the suite itself: leave it out")
        if isinstance(value, Mapping):
            near = difflib.get_close_matches(key, TASKS, 1) or [" or ".join(TASKS)]
            raise UserError(f"slurm option {key!r} is a dict, which only tasks are: did you mean {near[0]}?")
    numbers = {}
    for key, least in (("gpus", 0), ("nodes", 1), ("requeues", 0), ("signal_delay_s", 30)):
        if key in told:
            numbers[key] = _number(key, told[key], least)
    minutes = {"minutes": minutes_of(told["time"])} if "time" in told else {}
    setup = told.get("setup", ())
    lines = (setup,) if isinstance(setup, str) else tuple(setup)
    rest = {key: value for key, value in told.items() if key not in OWN}
    return SlurmOptions(setup=lines, sbatch=rest, **numbers, **minutes)


def _number(key: str, value: Any, least: int) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if number < least or str(number) != str(value):
        raise UserError(f"slurm option {key} is {value!r}: give a whole number of {least} or more")
    return number
