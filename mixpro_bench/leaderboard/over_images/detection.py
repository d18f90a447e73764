"""What AP is made of, image by image."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixpro_bench.errors import UserError

MOST_DETECTIONS = 100  # of an image and category, as in COCO's AP
AREAS = ("all", "small", "medium", "large")  # pycocotools' own, in its order
# mmdet's name of a metric -> of which objects, and of which of the ten thresholds 0.5, 0.55, ..., 0.95.
NAMES = {
    "mAP": ("all", slice(None)),
    "mAP_50": ("all", slice(0, 1)),
    "mAP_75": ("all", slice(5, 6)),
    "mAP_s": ("small", slice(None)),
    "mAP_m": ("medium", slice(None)),
    "mAP_l": ("large", slice(None)),
}


@dataclass(frozen=True)
class _Category:
    """One category's detections, the surest first, measured by its objects of one range of areas.

    Attributes:
        images: Image of each detection.
        objects: Image of each object that counts.
        right: For each threshold, which detections found an object.
        left_out: For each threshold, which of them matched a crowd or are of another area and count as neither right
            nor wrong.
    """

    images: np.ndarray
    objects: np.ndarray
    right: tuple[np.ndarray, ...]
    left_out: tuple[np.ndarray, ...]


class DetectionMatches:
    """Which detections found an object, matched once per image by pycocotools; AP of any images follows by sorting.

    AP of all images is that of pycocotools' COCOeval. An image that is drawn k times counts as k images with the same
    detections; detections of the same score stand in the order that they have among all images.

    Args:
        annotations: COCO file of the truth.
        results: COCO results file by kind, 'bbox' or 'segm'.
        classes: Names of the categories that count; None for all.

    Raises:
        UserError: If a file cannot be read or does not fit.
    """

    def __init__(self, annotations: Path, results: Mapping[str, Path], classes: Sequence[str] | None = None) -> None:
        from pycocotools.coco import COCO

        with _quiet():
            truth = COCO()
            truth.dataset = _json(annotations)
            try:
                truth.createIndex()
                wanted = truth.dataset["categories"]
                ids = [one["id"] for one in wanted if classes is None or one["name"] in classes]
                self.images = tuple(sorted(truth.getImgIds()))
            except (KeyError, TypeError) as error:
                raise UserError(f"{annotations} is not in COCO's format: {error!r} is missing or wrong") from None
            self._categories = {
                (kind, area): categories
                for kind, path in sorted(results.items())
                for area, categories in _match(truth, path, kind, ids, self.images).items()
            }
            self._kinds = sorted(results)
        self._recalls = np.linspace(0.0, 1.0, 101)

    def metrics(self, weights: np.ndarray) -> dict[str, float]:
        """Return AP, AP50, AP75 and AP by area as fractions, by mmdet's names, with each image counted so many times.

        Args:
            weights: ``(images,)``, in the order of ``images``.
        """
        precision = {
            key: [found for one in categories if (found := self._precision(one, weights)) is not None]
            for key, categories in self._categories.items()
        }
        return {
            f"coco/{kind}_{name}": float(np.mean([one[thresholds] for one in precision[kind, area]]))
            if precision[kind, area]
            else float("nan")
            for kind in self._kinds
            for name, (area, thresholds) in NAMES.items()
        }

    def _precision(self, one: _Category, weights: np.ndarray) -> np.ndarray | None:
        """Return the precision at each threshold and recall ``(10, 101)``, None where there is no object to be found.

        Only where an object is found does recall rise and precision have a peak, so only those places are looked at.
        """
        objects = weights[one.objects].sum()
        if objects <= 0:
            return None
        times = weights[one.images]
        before = np.cumsum(times)
        precision = np.zeros((len(one.right), len(self._recalls)))
        for threshold, (right, left_out) in enumerate(zip(one.right, one.left_out, strict=True)):
            if not len(right):
                continue
            hits = np.cumsum(times[right])
            counted = before[right]
            if len(left_out):
                skipped = np.concatenate(([0.0], np.cumsum(times[left_out])))
                counted = counted - skipped[np.searchsorted(left_out, right)]
            # The spacing is pycocotools': without it the first hit would differ in the last digit.
            envelope = np.maximum.accumulate((hits / (counted + np.spacing(1)))[::-1])[::-1]
            places = np.searchsorted(hits / objects, self._recalls, side="left")
            reached = places < len(right)
            precision[threshold, reached] = envelope[places[reached]]
        return precision


def _match(
    truth: Any, path: Path, kind: str, categories: list[int], images: Sequence[int]
) -> dict[str, list[_Category]]:
    from pycocotools.cocoeval import COCOeval

    detections = _json(path)
    if not isinstance(detections, list):
        raise UserError(f"{path} is not a COCO results file: a list is expected")
    if kind == "segm":
        # As mmdet: with a box in it, pycocotools would take its area for that of the mask.
        detections = [{key: value for key, value in one.items() if key != "bbox"} for one in detections]
    try:
        # pycocotools cannot load an empty list; nothing was found, which is an AP of 0.
        evaluation = COCOeval(truth, truth.loadRes(detections) if detections else _nothing(), kind)
        evaluation.params.catIds, evaluation.params.imgIds = categories, list(images)
        evaluation.params.maxDets = [MOST_DETECTIONS]
        evaluation.evaluate()
    except (AssertionError, KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(f"{path} does not fit the annotations it is measured by: {error}") from None
    found = np.array(evaluation.evalImgs, dtype=object).reshape(len(categories), len(AREAS), len(images))
    return {area: [_category(row) for row in found[:, k]] for k, area in enumerate(AREAS)}


def _nothing() -> Any:
    from pycocotools.coco import COCO

    empty = COCO()
    empty.dataset = {"images": [], "annotations": [], "categories": []}
    empty.createIndex()
    return empty


def _category(row: np.ndarray) -> _Category:
    pairs = [(image, one) for image, one in enumerate(row) if one is not None]
    empty = np.zeros((10, 0), dtype=bool)
    scores = np.concatenate([[], *(one["dtScores"] for _, one in pairs)])
    order = np.argsort(-scores, kind="mergesort")
    images = np.repeat([image for image, _ in pairs], [len(one["dtScores"]) for _, one in pairs]).astype(np.int64)
    matched = np.concatenate([empty, *(one["dtMatches"] != 0 for _, one in pairs)], axis=1)[:, order]
    left_out = np.concatenate([empty, *(one["dtIgnore"] != 0 for _, one in pairs)], axis=1)[:, order]
    objects = [np.full(int((np.asarray(one["gtIgnore"]) == 0).sum()), image) for image, one in pairs]
    return _Category(
        images[order],
        np.concatenate([[], *objects]).astype(np.int64),
        tuple(np.flatnonzero(line) for line in matched & ~left_out),
        tuple(np.flatnonzero(line) for line in left_out),
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error})") from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep pycocotools from printing what it does."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
