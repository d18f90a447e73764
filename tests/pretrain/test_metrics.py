from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import top_k_accuracy_score

from mixpro_bench.pretrain.metrics import TopK, true_class_rank


@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(1, 30))
def test_accuracy_agrees_with_scikit_learn(seed: int, classes: int, images: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.permuted(np.tile(np.arange(classes, dtype=np.float32), (images, 1)), axis=1)
    labels = generator.integers(0, classes, images)
    metric = TopK(topk=(1, 3))
    half = images // 2
    for part in (slice(0, half), slice(half, images)):
        samples = [
            dict(scores=torch.from_numpy(s), label=int(y)) for s, y in zip(scores[part], labels[part], strict=True)
        ]
        if samples:
            metric.process(None, samples)
    found = metric.compute_metrics(metric.results)
    for k in (1, 3):
        if k < classes:
            wanted = top_k_accuracy_score(labels, scores, k=k, labels=np.arange(classes)) if classes > 2 else None
            if wanted is not None:
                assert found[f"top{k}"] == pytest.approx(100 * wanted)


def test_a_model_that_knows_nothing_is_not_right() -> None:
    ranks = true_class_rank(torch.zeros(4, 10), torch.arange(4))
    assert ranks.tolist() == [9, 9, 9, 9]
