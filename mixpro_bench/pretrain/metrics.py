"""Classification accuracy, and the error of a reconstruction, as mmengine metrics."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mixpro_bench.registry import METRICS


def true_class_rank(scores: Tensor, labels: Tensor) -> Tensor:
    """Return how many classes score higher than the true one; ties count against the prediction.

    Args:
        scores: Shape (N, K).
        labels: Class indices, shape (N,).

    Returns:
        int64, shape (N,); 0 is a correct prediction.

    Examples:
        >>> true_class_rank(torch.tensor([[0.1, 0.7, 0.2]]), torch.tensor([2]))
        tensor([1])
    """
    own = scores.gather(1, labels[:, None])
    return (scores >= own).sum(dim=1) - 1


@METRICS.register_module()
class TopK(BaseMetric):
    """Share of images, in percent, whose true class is among the k highest scores.

    Args:
        topk: The values of k.
        collect_device: See mmengine.
    """

    def __init__(self, topk: Sequence[int] = (1, 5), collect_device: str = "cpu") -> None:
        super().__init__(collect_device=collect_device)
        self.topk = tuple(topk)

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep the rank of the true class of each image."""
        scores = torch.stack([sample["scores"] for sample in data_samples])
        labels = torch.stack([torch.as_tensor(sample["label"], device=scores.device) for sample in data_samples])
        self.results.extend(true_class_rank(scores, labels).tolist())

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        """Return ``top1``, ``top5``, ... in percent."""
        ranks = torch.tensor(results)
        return {f"top{k}": float((ranks < k).double().mean() * 100) for k in self.topk}


@METRICS.register_module()
class Reconstruction(BaseMetric):
    """Mean over images of the squared error of what an objective such as MixMIM reconstructs."""

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep the error of each image."""
        self.results.extend(torch.stack([sample["reconstruction"] for sample in data_samples]).tolist())

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        """Return ``reconstruction``."""
        return {"reconstruction": float(torch.tensor(results).double().mean())}
