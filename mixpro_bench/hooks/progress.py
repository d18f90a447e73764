"""A small file that says how far a run is."""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import time
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop

from mixpro_bench.files import write_text_atomic
from mixpro_bench.registry import HOOKS

PROGRESS_NAME = "progress.json"


@HOOKS.register_module()
class ProgressHook(Hook):
    """Write ``progress.json`` into the work dir: at the start, while training, and when the phase changes.

    The file holds ``stage`` ('start', 'train', 'val' or 'done'), ``iter``, ``max_iters``, ``epoch`` and ``max_epochs``
    (finished ones; null where the run counts iterations), ``loss`` (the last one read from the device, as text where it
    is no finite number; null before), ``eta_s`` (seconds, null while unknown), ``pid``, ``host`` and ``updated``
    (seconds since 1970). Other programs, such as the suite, read it.

    Args:
        interval: Look at the clock every so many iterations.
        min_seconds: Write at most once in so many seconds, changes of phase aside.
    """

    priority = "VERY_LOW"

    def __init__(self, interval: int = 1, min_seconds: float = 1.0) -> None:
        self.interval = interval
        self.min_seconds = min_seconds
        self._started = time.monotonic()
        self._first_iter = 0
        self._written = float("-inf")
        self._training = False

    def before_run(self, runner: Any) -> None:
        """Say that the run exists: building data and model may take a while."""
        self._write(runner, "start", iteration=0)

    def before_train(self, runner: Any) -> None:
        """Start the clock at the iteration that was resumed from, if any."""
        self._started = time.monotonic()
        self._first_iter = runner.iter
        self._training = True
        self._write(runner, "train")

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Write when an interval and enough time have gone by."""
        if (runner.iter + 1) % self.interval == 0 and time.monotonic() - self._written >= self.min_seconds:
            # The loop counts the iteration only after this hook.
            self._write(runner, "train", iteration=runner.iter + 1)

    def before_val(self, runner: Any) -> None:
        """Say that the run validates."""
        self._write(runner, "val")

    def after_val(self, runner: Any) -> None:
        """Say that the run trains again."""
        if self._training:
            self._write(runner, "train")

    def after_train(self, runner: Any) -> None:
        """Training is over; other hooks may still have something to do."""
        self._training = False

    def after_run(self, runner: Any) -> None:
        """Say that the run is done."""
        self._write(runner, "done")

    @master_only
    def _write(self, runner: Any, stage: str, iteration: int | None = None) -> None:
        iteration = runner.iter if iteration is None else iteration
        max_iters = runner.max_iters
        done = iteration - self._first_iter
        eta = (time.monotonic() - self._started) / done * (max_iters - iteration) if done > 0 and max_iters else None
        by_epoch = isinstance(runner._train_loop, EpochBasedTrainLoop)
        state = {
            "stage": stage,
            "iter": iteration,
            "max_iters": max_iters,
            "epoch": runner.epoch if by_epoch else None,
            "max_epochs": runner.max_epochs if by_epoch else None,
            "loss": _last_loss(runner),
            "eta_s": 0.0 if stage == "done" else eta,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "updated": time.time(),
        }
        # A file that only informs is no reason to end a run: the disk may have room again when a checkpoint is due.
        with contextlib.suppress(OSError):
            write_text_atomic(Path(runner.work_dir, PROGRESS_NAME), json.dumps(state), sync=False)
        self._written = time.monotonic()


def _last_loss(runner: Any) -> float | str | None:
    """Return the last loss that has been read from the device; text where JSON has no number for it."""
    losses = runner.message_hub.log_scalars.get("train/loss")
    if losses is None:
        return None
    loss = float(losses.current())
    return loss if math.isfinite(loss) else str(loss)
