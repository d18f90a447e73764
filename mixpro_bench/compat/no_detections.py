"""A detector that finds nothing is measured: its average precision is zero.

Reason: pycocotools cannot load an empty list of results, and mmdet's CocoMetric then returns no metrics at all; a
Record without metrics reads as a run that was not evaluated. Detectors find nothing at the start of training, or where
training failed.
Can go when pycocotools loads an empty list.
"""

from __future__ import annotations

from typing import Any

from mmengine.evaluator import Evaluator


def measure_nothing_found(evaluator: Evaluator) -> Evaluator:
    """Let the COCO metrics of an evaluator measure empty results; returns the evaluator."""
    for metric in evaluator.metrics:
        api = getattr(metric, "_coco_api", None)
        if api is not None and not hasattr(api, "_loads_nothing"):
            _load_empty_lists(api)
    return evaluator


def _load_empty_lists(api: Any) -> None:
    load = api.loadRes

    def load_results(results: Any) -> Any:
        if not isinstance(results, list) or results:
            return load(results)
        empty = type(api)()
        empty.dataset = {**{key: api.dataset[key] for key in ("images", "categories")}, "annotations": []}
        empty.createIndex()
        return empty

    api.loadRes, api._loads_nothing = load_results, True
