"""The check of an accelerator in nine minutes: its tests, what a step costs, a short chain; tools/accelerator_check.sh.

Each part is a process of its own with a time limit of its own; what one of them does, no other suffers from.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mixpro_bench.errors import UserError

if TYPE_CHECKING:
    from mixpro_bench.benchmark.accelerator_steps import Step

BUDGET_S = 530.0
# A part that is told to stop may clean up for so long.
GRACE_S = 5.0
PACKAGES = ("torch", "torchvision", "timm", "mmengine", "mmcv", "mmdet", "mmseg", "pycocotools", "pydantic", "pytest")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; 0 if every part succeeded, 1 if one did not, 2 if it cannot be run here."""
    parser = argparse.ArgumentParser(prog="tools/accelerator_check.sh", description=__doc__)
    parser.add_argument("--out", required=True, metavar="DIR", help="where the results go, as JSON")
    parser.add_argument(
        "--device", default="cuda", choices=("cuda", "cpu"), help="cpu: a much reduced dry run of the check itself"
    )
    args = parser.parse_args(arguments)
    try:
        require(args.device)
        return check(args.device, Path(args.out))
    except UserError as error:
        print(f"accelerator_check: {error}", file=sys.stderr)
        return 2


def require(device: str) -> None:
    """Refuse to begin without the packages or the device.

    Raises:
        UserError: With what is missing and the way out.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"{sys.executable} lacks {', '.join(missing)}: run 'bash tools/setup_env.sh' where there is a network, "
            "name another Python with PYTHON=..., or a folder of wheels with --wheels DIR"
        )
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise UserError(
                f"torch {torch.__version__} sees no CUDA device here: run this on a machine with one, or add "
                "'--device cpu' for a dry run"
            )


def check(
    device: str, out: Path, budget: float = BUDGET_S, parts: Callable[[str, Path], list[Step]] | None = None
) -> int:
    """Run the parts in turn, and leave ``summary.json``, a file for each part and ``log.txt`` in ``out``.

    Args:
        device: ``"cuda"``, or ``"cpu"`` for the reduced form.
        out: Folder of the results.
        budget: Seconds for all parts together.
        parts: Makes them; `mixpro_bench.benchmark.accelerator_steps.steps` by default.

    Returns:
        0 if all parts succeeded, else 1.

    Raises:
        UserError: ``out`` cannot be written.
    """
    from mixpro_bench.benchmark.accelerator_steps import ROOT, steps
    from mixpro_bench.files import write_text_atomic

    started, begin = datetime.now(timezone.utc), time.monotonic()
    try:
        out.mkdir(parents=True, exist_ok=True)
        log = open(out / "log.txt", "wb")  # noqa: SIM115 - open as long as the check
    except OSError as error:
        raise UserError(f"--out {out} cannot be written ({error.strerror}): name another folder") from error
    summary: dict[str, Any] = {"device": device, "started": started.isoformat(timespec="seconds"), "steps": {}}
    with log, tempfile.TemporaryDirectory(prefix="accelerator_check-", ignore_cleanup_errors=True) as folder:
        for step in (parts or steps)(device, Path(folder)):
            left = budget - (time.monotonic() - begin)
            limit = min(step.limit, left)
            output = Path(folder, f"{step.name}.out")
            environment = {**os.environ, "PYTHONPATH": _path(ROOT), "COLUMNS": "120", **step.environment}
            if device == "cpu":
                environment.setdefault("OMP_NUM_THREADS", "1")
            state, seconds = "no time left", 0.0
            if left > GRACE_S:
                state, seconds = run(step.name, step.command, limit, output, log, environment, ROOT)
            entry: dict[str, Any] = {"state": state, "seconds": round(seconds, 1), "limit_s": round(limit, 1)}
            try:
                result = step.read(output)
                entry["said"] = step.say(result)
            except Exception as error:  # whatever a part that broke off has left behind
                result, entry["said"] = {}, f"no result ({type(error).__name__}); see log.txt"
                entry["state"] = "failed" if state == "ok" else state
            summary["steps"][step.name] = entry
            write_text_atomic(out / f"{step.name}.json", json.dumps({**entry, "result": result}, indent=1) + "\n")
            print(f"{step.name:7} {entry['state']:12} {seconds:6.1f} s  {entry['said']}", flush=True)
    summary["seconds"] = round(time.monotonic() - begin, 1)
    good = all(entry["state"] == "ok" for entry in summary["steps"].values())
    write_text_atomic(out / "summary.json", json.dumps(summary, indent=1) + "\n")
    print(f"{'all parts succeeded' if good else 'NOT ALL PARTS SUCCEEDED'} in {summary['seconds']:.0f} s: {out}")
    return 0 if good else 1


def run(
    name: str,
    command: Sequence[str],
    limit: float,
    output: Path,
    log: IO[bytes],
    environment: dict[str, str],
    folder: Path,
) -> tuple[str, float]:
    """Run one part, its standard output into ``output`` and all it says into ``log``.

    Returns:
        ``"ok"``, ``"failed (STATUS)"`` or ``"out of time"``, and the seconds it took.
    """
    log.write(f"\n$ {shlex.join(command)}\n".encode())
    log.flush()
    begin = time.monotonic()
    with open(output, "wb") as stream:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=log,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
        try:
            status: int | None = _wait(process, name, limit)
        finally:
            _end(process)
    seconds = time.monotonic() - begin
    log.write(output.read_bytes())
    log.flush()
    if status is None:
        return "out of time", seconds
    return ("ok" if status == 0 else f"failed ({status})"), seconds


def _wait(process: subprocess.Popen, name: str, limit: float) -> int | None:
    """Wait for a process and show how its time runs; None where it outlasts its limit."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("at most"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task, begin = progress.add_task(name, total=limit), time.monotonic()
        while (seconds := time.monotonic() - begin) < limit:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(timeout=0.5)
            progress.update(task, completed=seconds)
    return None


def _end(process: subprocess.Popen) -> None:
    """End what is left of a part: ask first, since a suite ends its runs in order."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=GRACE_S)


def _path(root: Path) -> str:
    """Return the PYTHONPATH of the parts: the checkout, then what was told."""
    return os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])


if __name__ == "__main__":
    sys.exit(main())
