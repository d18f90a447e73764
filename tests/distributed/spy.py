"""A hook that writes down what a process of a run saw: samples, how they were augmented, mixed and labelled."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS


@HOOKS.register_module()
class SpyHook(Hook):
    """Write ``spy_<rank>.json`` into the work dir: what each pass saw of each sample, its loss, and the last weights.

    Where there is no mixing policy, only which sample it was and how it came out of the pipeline.
    """

    priority = "LOWEST"

    def before_train(self, runner: Any) -> None:
        self.steps: list[list[dict[str, Any]]] = []
        self.losses: list[float] = []
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        for branch in model.policy.branches if hasattr(model, "policy") else ():
            # Every labeler is handed the mixed batch.
            branch.labeler.register_forward_pre_hook(lambda _, args: self._mixed(args[0]))

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if "index" in data_batch:
            names = data_batch["index"].tolist()
        else:
            names = [Path(sample.img_path).name for sample in data_batch["data_samples"]]
        self.steps.append(
            [
                {"sample": name, "augmented": hashlib.sha256(image.numpy().tobytes()).hexdigest()}
                for name, image in zip(names, data_batch["inputs"], strict=True)
            ]
        )

    def _mixed(self, mixed: Any) -> None:
        rows = self.steps[-1]
        for row, lam, partner, image in zip(rows, mixed.lam_area, mixed.partner, mixed.inputs, strict=True):
            row.update(
                method=mixed.method,
                lam=lam.item(),
                partner=rows[int(partner)]["sample"],
                mixed=image.double().mean().item(),
            )

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.losses.append(outputs["loss"].item())

    def after_train(self, runner: Any) -> None:
        weights = b"".join(value.detach().numpy().tobytes() for value in runner.model.state_dict().values())
        seen = {"steps": self.steps, "losses": self.losses, "weights": hashlib.sha256(weights).hexdigest()}
        Path(runner.work_dir, f"spy_{get_rank()}.json").write_text(json.dumps(seen))
