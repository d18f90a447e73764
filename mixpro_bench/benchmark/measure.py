"""Timing next to one another: what one machine does at one moment is compared, never two moments.

Clock speeds, neighbours on the machine and caches change within seconds. Everything that is compared therefore runs
in turn, round after round, and is compared within its round.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch

Work = Callable[[int], Any]


def interleave(
    works: Mapping[str, Work],
    rounds: int,
    device: torch.device,
    warm_up: int = 2,
    repeat: int = 1,
    show: Callable[[range], Iterable[int]] = iter,
) -> dict[str, np.ndarray]:
    """Time several pieces of work in turn.

    Every round starts with another one, so that none always runs behind the same neighbour.

    Args:
        works: Each is called with the number of the round, so that all see equal draws in a round.
        rounds: Rounds that count.
        device: Where the work runs; a GPU is waited for before the clock is read.
        warm_up: Rounds before, which do not count.
        repeat: Calls per reading of the clock. On a GPU several, since a training run does not wait after each step.
        show: Wraps the range of rounds, to show progress.

    Returns:
        Seconds per call, shape (rounds,), for each name.
    """
    names = list(works)
    seconds = {name: np.zeros(rounds) for name in names}
    for number in show(range(-warm_up, rounds)):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            wait(device)
            start = time.perf_counter()
            for _ in range(repeat):
                works[name](number + warm_up)
            wait(device)
            if number >= 0:
                seconds[name][number] = (time.perf_counter() - start) / repeat
    return seconds


def compare(seconds: Mapping[str, np.ndarray], base: str, resamples: int = 2000) -> dict[str, dict[str, float]]:
    """Compare each with ``base``, round by round.

    Args:
        seconds: What `interleave` returned.
        base: Name of the one that the others are compared with.
        resamples: Bootstrap samples.

    Returns:
        For each name the median time ``ms``, the median ``ratio`` of its time to that of ``base`` in the same round,
        the quartiles of the ratio, and ``low`` and ``high``, the 95 % bootstrap interval of its median.

    Examples:
        >>> found = compare({"a": np.array([2.0, 4.0]), "b": np.array([3.0, 6.0])}, "a")
        >>> found["b"]["ratio"], found["b"]["ms"]
        (1.5, 4500.0)
    """
    found = {}
    for name, times in seconds.items():
        ratios = times / seconds[base]
        draws = np.random.default_rng(0).integers(len(ratios), size=(resamples, len(ratios)))
        low, high = np.quantile(np.median(ratios[draws], axis=1), (0.025, 0.975))
        first, third = np.quantile(ratios, (0.25, 0.75))
        values = {
            "ms": 1000 * np.median(times),
            "ratio": np.median(ratios),
            "quartile_1": first,
            "quartile_3": third,
            "low": low,
            "high": high,
        }
        found[name] = {key: float(value) for key, value in values.items()}
    return found


def peak_bytes(work: Callable[[], Any], device: torch.device) -> int | None:
    """Return how much tensor memory is in use at the worst moment of a piece of work, beyond what was before.

    On a GPU the allocator says so. On the CPU the profiler's record of allocations is added up; the resident size of
    the process would be of no use, since it never shrinks.

    Returns:
        Bytes, or None where the profiler does not record allocations.
    """
    if device.type == "cuda":
        wait(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        wait(device)
        return torch.cuda.max_memory_allocated(device) - before
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True, acc_events=True
    ) as profile:
        work()
    try:
        events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
        changes = [e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]
    except AttributeError:  # no public way to the single allocations
        return None
    return int(np.cumsum(changes).max(initial=0)) if changes else None


def wait(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def pick_device(name: str) -> torch.device:
    """Return the device of a name; ``"auto"`` is the GPU where there is one.

    Raises:
        UserError: If there is no such device.
    """
    from mixpro_bench.errors import UserError

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name} cannot be used here ({str(error).splitlines()[0]}): take cpu") from error
    return device


def machine(device: torch.device) -> dict[str, Any]:
    """Return what a number depends on beside the code: device, threads, versions, and how busy the machine was."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "device": gpu or _processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "load": [round(x, 2) for x in os.getloadavg()] if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"
