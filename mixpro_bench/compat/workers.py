"""Data workers that end with the run they work for.

Reason: torch's workers look between two batches whether their run is alive; when it was killed they then wait, for
ever, to get rid of the batches they had ready, into a pipe that nobody empties but that they hold open themselves. Each
killed run would leave its workers behind, with all their memory.
Can go when torch's workers leave without their batches.
"""

from __future__ import annotations

import ctypes
import functools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

_PR_SET_PDEATHSIG = 1


def end_with_run(dataloader: Any) -> None:
    """Let the workers of a loader die with the process that uses it; on Linux, elsewhere they stay as they are.

    Args:
        dataloader: The loader, before its workers are started; changed in place.
    """
    if getattr(dataloader, "num_workers", 0) and sys.platform == "linux":
        dataloader.worker_init_fn = functools.partial(_begin, dataloader.worker_init_fn)


def _begin(then: Callable[[int], None] | None, worker: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have died before it could be asked for.
    run = multiprocessing.parent_process()
    if run is not None and not run.is_alive():
        os._exit(1)
    if then is not None:
        then(worker)
