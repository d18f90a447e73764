"""The hook that leaves one Record behind a finished training, and a model card beside pretrained weights."""

from __future__ import annotations

import json
import math
import numbers
import resource
import time
from collections.abc import Mapping, Sized
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process, master_only
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop

from mixpro_bench.compat.runtime_info import RuntimeInfoHook
from mixpro_bench.errors import UserError
from mixpro_bench.files import sha256_of, write_text_atomic
from mixpro_bench.hooks.history import History
from mixpro_bench.hooks.model_size import model_size
from mixpro_bench.hooks.provenance import (
    audit_of,
    code_version,
    data_check,
    data_fingerprint,
    device_name,
    last_checkpoint,
    load_audit,
    package_versions,
)
from mixpro_bench.labeling.network import teachers_of
from mixpro_bench.leaderboard.record import RECORD_NAME, SCHEMA_VERSION, Record, record_from, write_record
from mixpro_bench.protocols import deviations_of_run
from mixpro_bench.registry import HOOKS

COST_KEY = "mixpro_bench_cost"
HISTORY_KEY = "mixpro_bench_history"
VALIDATIONS_NAME = "validations.json"
SCRATCH = "scratch"
REQUIRED = ("task", "backbone", "protocol", "version")
REQUIRED_OF_PRETRAINING = ("method", "preset")


@HOOKS.register_module()
class RecordHook(Hook):
    """Write ``record.json`` into the work dir when training has finished.

    What was run comes from the config's ``bench`` block; a transfer takes method, preset and pretraining seed from the
    checkpoint, through the load audit that the Handover leaves in the message hub. The metrics are those of the last
    checkpoint: if the last validation was earlier (a run resumed behind it), validation runs once more. Times, image
    counts and curves travel in the checkpoint, so a resumed run reports what all its sessions cost and what they were
    like. Each validation also goes into ``validations.json`` in the work dir, at once: a checkpoint is written before
    it, so a run that is killed between the two would lose it.

    Raises:
        UserError: Before training, if the config has no complete ``bench`` block.
    """

    priority = "LOWEST"

    def __init__(self) -> None:
        self._metrics: dict[str, float] = {}
        self._not_finite: list[str] = []
        self._metrics_iter: int | None = None
        self._spent = {"wall_s": 0.0, "train_s": 0.0, "images": 0.0}
        self._mark: float | None = None
        self._validating = False
        self._code: tuple[str, bool] | None = None
        self._deviations: list[str] = []
        self._data: str | None = None
        self._data_check: str | None = None
        self._history = History()
        self._run: dict[str, Any] = {}

    def before_run(self, runner: Any) -> None:
        """Check the ``bench`` block, and note code and data before anyone edits them."""
        bench = runner.cfg.get("bench")
        bench = bench if isinstance(bench, Mapping) else {}
        required = REQUIRED + REQUIRED_OF_PRETRAINING * (bench.get("task") == "pretrain")
        lacking = [key for key in required if bench.get(key) is None]
        if lacking:
            raise UserError(
                f"the config's `bench` lacks {', '.join(lacking)}: a Record needs "
                f"bench = dict({', '.join(f'{key}=...' for key in required)})"
            )
        self._deviations = deviations_of_run(runner.cfg, runner.world_size)
        if is_main_process():
            self._code = code_version()
            self._data = data_fingerprint(runner)
            self._data_check = data_check(runner)

    def before_train(self, runner: Any) -> None:
        """Start the clock; tell what leaves the protocol; ask for the scalars of each step as they are read."""
        if self._deviations:
            changed = "; ".join(self._deviations)
            runner.logger.warning(f"off protocol, so never ranked as it: {changed}")
        self._run = _run_of(runner)
        self._resume_validations(runner)
        for hook in runner.hooks:
            if isinstance(hook, RuntimeInfoHook) and self._history.read not in hook.readers:
                hook.readers.append(self._history.read)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._mark = time.perf_counter()

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Count images: before the step, so that a checkpoint written right after it has them."""
        inputs = data_batch.get("inputs") if isinstance(data_batch, Mapping) else None
        if isinstance(inputs, Sized):
            self._spent["images"] += len(inputs) * runner.world_size
        rate = runner.message_hub.log_scalars.get("train/lr")
        if rate is not None:
            self._history.read("lr", [runner.iter + 1], [rate.current()])

    def before_val(self, runner: Any) -> None:
        """Time from here on is no training time."""
        self._tick()
        self._validating = True

    def after_val(self, runner: Any) -> None:
        """Training time again."""
        self._tick()
        self._validating = False

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Keep the newest metrics."""
        self._metrics, self._not_finite = _numbers_of(metrics or {})
        self._metrics_iter = runner.iter
        if self._mark is not None:  # else it is no training
            epoch = None if isinstance(runner.train_loop, IterBasedTrainLoop) else runner.epoch
            self._history.validated(runner.iter, epoch, {**self._metrics, **dict.fromkeys(self._not_finite)})
            self._write_validations(runner)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Put what was spent and seen so far beside the weights."""
        self._tick()
        checkpoint["meta"][COST_KEY] = dict(self._spent)
        checkpoint["meta"][HISTORY_KEY] = self._history.state()

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Take up what earlier sessions spent and saw; weights that only initialise this run bring nothing."""
        if runner._resume:
            meta = checkpoint.get("meta", {})
            for key, value in meta.get(COST_KEY, {}).items():
                self._spent[key] = self._spent.get(key, 0.0) + float(value)
            self._history.load(meta.get(HISTORY_KEY, {}))

    def after_train(self, runner: Any) -> None:
        """Write the Record."""
        self._tick()
        if self._metrics_iter != runner.iter and runner.val_loop is not None:
            runner.val_loop.run()
        if not is_main_process():
            return
        if self._not_finite:
            runner.logger.warning(f"left out of the Record, because not finite: {', '.join(self._not_finite)}")
        record = self.build(runner)
        # The card first: a run with a Record is done, and is not looked at again.
        if record.stage == "pretrain" and (checkpoint := last_checkpoint(Path(runner.work_dir))):
            from mixpro_bench.transfer.card import card_of, write_card

            write_card(card_of(checkpoint, record=record), checkpoint.parent)
        path = write_record(record, Path(runner.work_dir, RECORD_NAME))
        runner.logger.info(f"Record: {path}")

    def build(self, runner: Any) -> Record:
        """Make the Record of the run as it stands."""
        bench = runner.cfg["bench"]
        audit = load_audit(runner)
        upstream = audit.pop("upstream", None) or {}
        pretraining = bench["task"] == "pretrain"
        if pretraining:
            method = {"name": bench["method"], "preset": bench["preset"]}
        elif not audit:
            method = {"name": SCRATCH, "preset": SCRATCH}
        else:
            # Weights of other origin say nothing of themselves: the file's name is all that is known of them.
            unknown = Path(audit.get("checkpoint") or "unknown").stem
            method = {"name": upstream.get("method") or unknown, "preset": upstream.get("preset") or unknown}
        data = {
            "schema_version": SCHEMA_VERSION,
            "stage": bench["task"],
            "method": method,
            "backbone": upstream.get("backbone") or bench["backbone"],
            "protocol": {"name": bench["protocol"], "version": bench["version"]},
            "recipe_hash": _hash_of(runner, "recipe_hash", runner.world_size),
            "pretrain_seed": runner.seed if pretraining else upstream.get("seed"),
            "seed": runner.seed,
            "metrics": self._metrics,
            "cost": self._cost(runner),
            "provenance": self._provenance(runner, audit),
            "model": model_size(runner),
            "series": self._history.series(),
            "best": self._history.best(bench["task"]),
            "data_check": self._data_check,
        }
        if upstream:
            data["upstream"] = upstream
        if self._deviations:
            data["deviations"] = self._deviations
        if self._not_finite:
            data["not_finite"] = self._not_finite
        return record_from(data, f"the Record of {runner.work_dir}")

    @master_only
    def _resume_validations(self, runner: Any) -> None:
        """Take up validations that came after the checkpoint was written, if they are of this very run."""
        path = Path(runner.work_dir, VALIDATIONS_NAME)
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            if told["run"] == self._run:
                known = {one["iter"] for one in self._history.validations}
                for one in told["validations"]:
                    if one["iter"] not in known and one["iter"] <= runner.iter:
                        self._history.validated(one["iter"], one["epoch"], one["metrics"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # not there, cut short, or somebody else's
        if self._history.validations or path.exists():
            self._write_validations(runner)

    @master_only
    def _write_validations(self, runner: Any) -> None:
        content = {"run": self._run, "validations": self._history.validations}
        write_text_atomic(Path(runner.work_dir, VALIDATIONS_NAME), json.dumps(content, indent=1) + "\n")

    def _tick(self) -> None:
        if self._mark is None:
            return
        now = time.perf_counter()
        self._spent["wall_s"] += now - self._mark
        if not self._validating:
            self._spent["train_s"] += now - self._mark
        self._mark = now

    def _cost(self, runner: Any) -> dict[str, Any]:
        train_s, images = self._spent["train_s"], self._spent["images"]
        if torch.cuda.is_available():
            peak, kind = torch.cuda.max_memory_allocated() / 2**20, "device"
        else:
            peak, kind = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10, "process"
        return {
            "wall_s": round(self._spent["wall_s"], 3),
            "train_s": round(train_s, 3),
            "images_per_s": round(images / train_s, 3) if images and train_s > 0 else None,
            "peak_memory_mb": round(peak, 1),
            "peak_memory_of": kind,
            "devices": runner.world_size,
        }

    def _provenance(self, runner: Any, audit: dict[str, Any]) -> dict[str, Any]:
        commit, dirty = self._code or code_version()
        checkpoint = last_checkpoint(Path(runner.work_dir))
        return {
            "commit": commit,
            "dirty": dirty,
            "config_sha256": _hash_of(runner, "config_hash"),
            "checkpoint": str(checkpoint) if checkpoint else None,
            "checkpoint_sha256": sha256_of(checkpoint) if checkpoint else None,
            "upstream_sha256": audit.get("sha256"),
            "data_fingerprint": self._data,
            "packages": package_versions(),
            "device": device_name(),
            "load_audit": audit_of(audit) if audit else None,
            "upstream_checkpoint": audit.get("checkpoint"),
            "teachers": teachers_of(runner.model),
        }


def _numbers_of(metrics: Mapping[str, Any]) -> tuple[dict[str, float], list[str]]:
    """Split metrics into finite numbers and the names of the other numbers; text is left out."""
    finite, rest = {}, []
    for key, value in metrics.items():
        if isinstance(value, (torch.Tensor, np.ndarray)) and np.prod(value.shape) == 1:
            value = value.item()
        if isinstance(value, numbers.Real) and not isinstance(value, bool):
            if math.isfinite(value):
                finite[key] = float(value)
            else:
                rest.append(key)
    return finite, rest


def _run_of(runner: Any) -> dict[str, Any]:
    """Return what tells a run from another in the same work dir."""
    return {
        "config_sha256": _hash_of(runner, "config_hash"),
        "seed": runner.seed,
        "upstream_sha256": load_audit(runner).get("sha256"),
    }


def _hash_of(runner: Any, kind: str, *arguments: int) -> str:
    from mixpro_bench import config

    return str(getattr(config, kind)(runner.cfg, *arguments))
