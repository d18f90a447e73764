"""Keeping checkpoints: the older one goes only when the newer one is in its place.

Reason: mmengine's CheckpointHook removes the old file, and then writes the new one; a run that is killed in between has
none. Can go when mmengine turns the order round.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook as EngineCheckpointHook

from mixpro_bench.errors import UserError
from mixpro_bench.files import write_text_atomic
from mixpro_bench.registry import HOOKS


@HOOKS.register_module()
class CheckpointHook(EngineCheckpointHook):
    """mmengine's hook for local work dirs; takes the same arguments."""

    keep_ckpt_ids: deque[int]

    def before_train(self, runner: Any) -> None:
        """Also sweep away what a killed run left half-written."""
        super().before_train(runner)
        if self.save_best is not None:
            for key in self._best_keys():
                best = self._best(key)
                # A run that resumes from another work dir leaves that one's best checkpoint alone.
                self._set_best(key, best and str(Path(self.out_dir) / Path(best).name))
        if is_main_process():
            for left in Path(self.out_dir).glob(".*.pth.*.tmp"):
                left.unlink(missing_ok=True)

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict[str, Any]) -> None:
        outdated: list[int] = []
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            kept = [*self.keep_ckpt_ids, step]
            outdated, kept = kept[: -self.max_keep_ckpts], kept[-self.max_keep_ckpts :]
            self.keep_ckpt_ids = deque(kept, self.max_keep_ckpts)
            runner.message_hub.update_info("keep_ckpt_ids", kept)
        self.last_ckpt = str(Path(self.out_dir) / self.filename_tmpl.format(step))
        runner.message_hub.update_info("last_ckpt", self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            self.filename_tmpl.format(step),
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
        )
        if is_main_process():
            write_text_atomic(Path(runner.work_dir) / "last_checkpoint", self.last_ckpt)
            for old in outdated:
                (Path(self.out_dir) / self.filename_tmpl.format(old)).unlink(missing_ok=True)

    def _save_best_checkpoint(self, runner: Any, metrics: dict[str, Any]) -> None:
        if not self.save_best:
            return
        missing = [key for key in self.key_indicators if key != "auto" and key not in metrics]
        if missing:
            raise UserError(
                f"default_hooks.checkpoint.save_best names '{missing[0]}', which the evaluation does not give: "
                f"use one of {', '.join(sorted(metrics))}"
            )
        # mmengine would remove these first. It does not see them here; they go when the better ones are written.
        before = self._hide_best()
        super()._save_best_checkpoint(runner, metrics)
        for key, old in before.items():
            new = self._best(key)
            if new is None:
                self._set_best(key, old)
            elif old and old != new and is_main_process():
                Path(old).unlink(missing_ok=True)
                runner.logger.info(f"The previous best checkpoint {old} is removed")

    def _hide_best(self) -> dict[str | None, str | None]:
        before = {key: self._best(key) for key in self._best_keys()}
        for key in before:
            self._set_best(key, None)
        return before

    def _best_keys(self) -> list[str | None]:
        """Return the metrics; one alone has no name in mmengine's hook."""
        return [None] if len(self.key_indicators) == 1 else list(self.key_indicators)

    def _best(self, key: str | None) -> str | None:
        return self.best_ckpt_path if key is None else self.best_ckpt_path_dict.get(key)

    def _set_best(self, key: str | None, path: str | None) -> None:
        if key is None:
            self.best_ckpt_path = path
        else:
            self.best_ckpt_path_dict[key] = path
