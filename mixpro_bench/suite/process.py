"""The process of one run: its log, its share of the machine, and its end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mixpro_bench.suite.run import Run

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
# A killed process is gone at once, but for one that waits for a disk.
KILL_SECONDS = 10.0


class RunProcess:
    """A started run.

    Args:
        run: The run; its output is appended to its log.
        command: What is started.
        threads: Threads for each of its processes.
        log: Where the output goes instead.
        ignored: Signals that the processes do not see, because whoever started them deals with these.
        devices: The GPUs that the processes see, as in ``CUDA_VISIBLE_DEVICES``; by default those that this one sees.
    """

    def __init__(
        self,
        run: Run,
        command: Sequence[str],
        *,
        threads: int,
        log: Path | None = None,
        ignored: Sequence[signal.Signals] = (),
        devices: Sequence[str] = (),
    ) -> None:
        self.run = run
        self.devices = tuple(devices)
        self.started = time.monotonic()
        self._log = open(log or run.log, "ab")  # noqa: SIM115 - open as long as the process
        visible = {"CUDA_VISIBLE_DEVICES": ",".join(devices)} if devices else {}
        words = [*(f"{key}={value}" for key, value in visible.items()), shlex.join(command)]
        self._log.write(f"$ {' '.join(words)}\n".encode())
        self._log.flush()
        count = str(threads)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                **visible,
                "OMP_NUM_THREADS": count,
                "MKL_NUM_THREADS": count,
                "PYTHONUNBUFFERED": "1",
            },
            # A group of its own: Ctrl-C reaches the suite alone, which then ends its runs in order.
            start_new_session=True,
            preexec_fn=_before_start(ignored),
        )

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def ended(self) -> bool:
        """Tell whether the process has ended."""
        return self._process.poll() is not None

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most so long, and tell whether it came."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.ended()

    def failure(self, record: bool = True) -> str:
        """Say why an ended process has failed; empty if it has not.

        Args:
            record: Whether it has to leave a Record.
        """
        code = self._process.returncode
        self._log.close()
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        if code > 0:
            return f"exit status {code}"
        return "ended without a Record" if record and self.run.record() is None else ""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and all it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def stop(processes: Sequence[RunProcess], seconds: float) -> None:
    """End processes and all they started: politely, then, after ``seconds``, by force."""
    for process in processes:
        process.signal(signal.SIGTERM)
    deadline = time.monotonic() + seconds
    for process in processes:
        process.wait(max(0.1, deadline - time.monotonic()))
        process.signal(signal.SIGKILL)
        process.wait(KILL_SECONDS)
        process._log.close()


def torchrun(words: Sequence[str], processes: int, rendezvous: Sequence[str] = ()) -> list[str]:
    """Return the command of a run that several processes do together.

    Args:
        words: The command of one process, beginning with the Python.
        processes: Processes on this machine.
        rendezvous: How several machines meet; empty for one.
    """
    if processes == 1 and not rendezvous:
        return list(words)
    # On one machine there may be several runs at once: any free port.
    head = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
    return [*head, *(rendezvous or ["--standalone"]), *words[1:]]


def gpus() -> tuple[str, ...]:
    """Return the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return tuple(named[:count] if named else map(str, range(count)))


def cores() -> int:
    """Return the number of processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def last_line(path: Path) -> str:
    """Return the last line of a log that is not empty."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 65536))
            lines = stream.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _before_start(ignored: Sequence[signal.Signals]) -> Callable[[], None]:
    def prepare() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        if sys.platform == "linux":
            # A suite that is killed leaves no run behind. Between fork and exec nothing may wait for a lock that
            # another thread held: the library is loaded before.
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return prepare
