"""mIoU of any images: against pixels counted one by one, against repeated images, and against mmseg's own metric."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.over_images.segmentation import SegmentationCounts

TOLERANCE = {"rel": 1e-9, "abs": 1e-9}


def slow(pairs, weights, classes):
    """The metrics, pixel by pixel."""
    both, predicted, true = ([0] * classes for _ in range(3))
    for (truth, found), times in zip(pairs.values(), weights, strict=True):
        for t, p in zip(truth.ravel().tolist(), found.ravel().tolist(), strict=True):
            if t in (0, 255):
                continue
            true[t - 1] += times
            if 1 <= p <= classes:
                predicted[p - 1] += times
            both[t - 1] += times * (t == p)
    unions = [t + p - b for t, p, b in zip(true, predicted, both, strict=True)]
    ious = [b / u for b, u in zip(both, unions, strict=True) if u]
    shares = [b / t for b, t in zip(both, true, strict=True) if t]
    return {
        "mIoU": 100 * sum(ious) / len(ious),
        "mAcc": 100 * sum(shares) / len(shares),
        "aAcc": 100 * sum(both) / sum(true),
    }


@pytest.mark.parametrize("seed", range(5))
def test_against_pixels_counted_one_by_one(made, tmp_path, seed):
    pairs = made.masks(seed=seed)
    counts = SegmentationCounts(tmp_path / "predictions", made.write_masks(tmp_path, pairs), 4, True)
    assert counts.images == tuple(pairs)
    generator = np.random.default_rng(seed)
    for weights in (np.ones(5), *generator.multinomial(5, [0.2] * 5, size=4)):
        found = counts.metrics(weights.astype(float))
        assert found == {key: pytest.approx(value, **TOLERANCE) for key, value in slow(pairs, weights, 4).items()}


def test_a_class_that_does_not_occur_has_no_say(made, tmp_path):
    pairs = made.masks(classes=2)
    counts = SegmentationCounts(tmp_path / "predictions", made.write_masks(tmp_path, pairs), 9, True)
    assert counts.metrics(np.ones(5))["mIoU"] == pytest.approx(slow(pairs, [1] * 5, 2)["mIoU"], **TOLERANCE)


def test_without_a_value_for_no_class(tmp_path):
    for name, mask in (("predictions", [[0, 1], [1, 1]]), ("truth", [[0, 1], [0, 255]])):
        (tmp_path / name).mkdir()
        Image.fromarray(np.array(mask, dtype=np.uint8)).save(tmp_path / name / "a.png")
    counts = SegmentationCounts(tmp_path / "predictions", tmp_path / "truth", 2, False)
    # Class 0: one of two; class 1: one of two.
    assert counts.metrics(np.ones(1)) == {
        "mIoU": pytest.approx(50.0),
        "mAcc": pytest.approx(75.0),
        "aAcc": pytest.approx(200 / 3),
    }


@pytest.mark.mm
def test_against_mmseg(made, tmp_path):
    import torch
    from mmengine.structures import PixelData
    from mmseg.evaluation import IoUMetric
    from mmseg.structures import SegDataSample

    pairs = made.masks(images=4, seed=3)
    metric = IoUMetric(output_dir=str(tmp_path / "predictions"))
    metric.dataset_meta = {"classes": list("abcd")}
    for name, (truth, found) in pairs.items():
        sample = SegDataSample(metainfo={"img_path": f"{name}.jpg", "reduce_zero_label": True})
        reduced = np.where((truth == 0) | (truth == 255), 255, truth - 1)
        sample.gt_sem_seg = PixelData(data=torch.from_numpy(reduced)[None])
        sample.pred_sem_seg = PixelData(data=torch.from_numpy(found - 1)[None])
        metric.process({}, [sample.to_dict()])
    told = metric.compute_metrics(metric.results)
    made.write_masks(tmp_path, pairs, name="unused")
    counts = SegmentationCounts(tmp_path / "predictions", tmp_path / "truth", 4, True)
    assert counts.metrics(np.ones(4)) == {key: pytest.approx(float(value), abs=0.0051) for key, value in told.items()}


def test_what_does_not_fit_is_named(made, tmp_path):
    truth = made.write_masks(tmp_path, made.masks(images=2))
    odd = tmp_path / "predictions/image 1.png"
    Image.fromarray(np.zeros((3, 5), dtype=np.uint8)).save(odd)
    with pytest.raises(UserError, match=r"image 1\.png .* of different sizes: 5x3 and 7x9 pixels"):
        SegmentationCounts(tmp_path / "predictions", truth, 4, True)
    odd.write_bytes(odd.read_bytes()[:40])
    with pytest.raises(UserError, match=r"image 1\.png cannot be read as a mask"):
        SegmentationCounts(tmp_path / "predictions", truth, 4, True)
    odd.rename(tmp_path / "predictions/other.png")
    with pytest.raises(UserError, match=r"other\.png has no true one"):
        SegmentationCounts(tmp_path / "predictions", truth, 4, True)
