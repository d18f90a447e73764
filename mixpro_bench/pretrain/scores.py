"""Keeping a classifier's scores."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.evaluator import BaseMetric


class KeepScores(BaseMetric):
    """Collects scores, labels and indices of all images; measures nothing.

    It is put beside the metrics of a test; `write` is called afterwards.
    """

    def __init__(self) -> None:
        super().__init__(collect_device="cpu")
        self.kept: dict[str, torch.Tensor] = {}

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep scores and labels of a batch, and the place of its images in the data set."""
        indices = data_batch.get("index") if isinstance(data_batch, dict) else None
        for i, sample in enumerate(data_samples):
            index = -1 if indices is None else int(indices[i])
            self.results.append((sample["scores"].float().cpu(), int(sample["label"]), index))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Put everything together; gives no metric."""
        scores, labels, indices = zip(*results, strict=True)
        self.kept = dict(scores=torch.stack(scores), labels=torch.tensor(labels), indices=torch.tensor(indices))
        return {}

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write what was collected as ``.npz`` or ``.safetensors``: scores (N, K), labels (N,), indices (N,)."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
        try:
            if path.suffix == ".safetensors":
                from safetensors.torch import save_file

                save_file(self.kept, temporary)
            else:
                import numpy as np

                np.savez_compressed(temporary, **{key: value.numpy() for key, value in self.kept.items()})
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        return path
