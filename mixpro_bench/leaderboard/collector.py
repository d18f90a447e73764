"""Python's collector of reference cycles, left out where it only costs time."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collector_off() -> Iterator[None]:
    """Make many objects without the collector going through all of them again and again: there are no cycles to find.

    With ten thousand Records that is more than half the time. Explicit calls of ``gc.collect`` inside find nothing old
    to go through either.
    """
    enabled, frozen = gc.isenabled(), gc.get_freeze_count()
    gc.disable()
    if not frozen:
        gc.freeze()
    try:
        yield
    finally:
        if not frozen:
            gc.unfreeze()
        if enabled:
            gc.enable()
