"""What mIoU is made of, image by image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mixpro_bench.errors import UserError

IGNORED = 255


class SegmentationCounts:
    """Pixels of each class in each image; mIoU, mAcc and aAcc of any images are ratios of their sums.

    Those of all images are the numbers of mmseg's IoUMetric.

    Args:
        predictions: Folder of predicted masks as IoUMetric writes them: ``NAME.png``, and with ``reduce_zero_label``
            one more than the class.
        masks: Folder of the true masks, with all folders below; they are found by name.
        classes: Number of classes.
        reduce_zero_label: Whether value 0 of a true mask is no class, and class c has value c + 1.

    Raises:
        UserError: If a predicted mask cannot be read, has no true one, or another size than that.
    """

    def __init__(self, predictions: Path, masks: Path, classes: int, reduce_zero_label: bool) -> None:
        truths = {path.stem: path for path in masks.rglob("*.png")}
        found = sorted(predictions.glob("*.png"))
        self.images = tuple(path.stem for path in found)
        counts = [self._count(path, truths, masks, classes, reduce_zero_label) for path in found]
        # (images, classes): pixels of both, of the prediction, of the truth.
        self._both, self._predicted, self._true = np.stack(counts, axis=1).astype(np.float64)

    def metrics(self, weights: np.ndarray) -> dict[str, float]:
        """Return the metrics, in percent, with each image counted so many times.

        Args:
            weights: ``(images,)``.
        """
        both, predicted, true = (weights @ part for part in (self._both, self._predicted, self._true))
        with np.errstate(invalid="ignore", divide="ignore"):
            union, share = both / (predicted + true - both), both / true
            accuracy = both.sum() / true.sum()
        return {"mIoU": 100 * _mean(union), "mAcc": 100 * _mean(share), "aAcc": 100 * float(accuracy)}

    @staticmethod
    def _count(
        path: Path, truths: dict[str, Path], masks: Path, classes: int, reduce_zero_label: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        truth = truths.get(path.stem)
        if truth is None:
            raise UserError(f"the predicted mask {path} has no true one of that name below {masks}")
        predicted, true = _read(path), _read(truth)
        if predicted.shape != true.shape:
            sizes = " and ".join("x".join(map(str, one.shape[::-1])) for one in (predicted, true))
            raise UserError(f"{path} and {truth} are of different sizes: {sizes} pixels")
        if reduce_zero_label:
            # As mmseg's LoadAnnotations: 0 and 255 are ignored, the others move down by one.
            true = np.where((true == 0) | (true == IGNORED), IGNORED, true - 1)
            predicted = predicted - 1
        seen = true != IGNORED
        predicted, true = predicted[seen], true[seen]
        return (
            _histogram(predicted[predicted == true], classes),
            _histogram(predicted, classes),
            _histogram(true, classes),
        )


def _read(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image).astype(np.int64)
    except OSError as error:
        raise UserError(f"{path} cannot be read as a mask ({error})") from None


def _histogram(values: np.ndarray, classes: int) -> np.ndarray:
    return np.bincount(values[(values >= 0) & (values < classes)], minlength=classes)


def _mean(values: np.ndarray) -> float:
    """Return the mean over the classes that occur; NaN if none does."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")
