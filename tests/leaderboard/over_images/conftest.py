"""Small detection and segmentation sets with predictions, made of random numbers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask


def rle(box, size, generator):
    """A random blob within a box as an encoded mask."""
    x, y, w, h = (int(one) for one in box)
    blob = np.zeros((size, size), dtype=np.uint8, order="F")
    blob[y : y + h, x : x + w] = generator.random((h, w)) < 0.8
    blob[y, x] = 1
    found = coco_mask.encode(blob)
    return {"size": found["size"], "counts": found["counts"].decode()}


def make_detection(images=6, seed=0, size=40, scales=(1,)):
    """Return a COCO data set and results of both kinds: objects, crowds, near misses, and noise; no scores alike.

    The images take the scales in turn: with 1 all objects are small to COCO, with 1, 5 and 12 they are of all sizes.
    """
    generator = np.random.default_rng(seed)

    def shown(image, box):
        """A box and a mask in it, at the scale of its image."""
        scale = scales[image % len(scales)]
        box = [scale * int(one) for one in box]
        return {"image_id": image * 10, "bbox": box, "segmentation": rle(box, size * scale, generator)}

    truth = {"images": [], "annotations": [], "categories": [{"id": k, "name": n} for k, n in ((3, "cat"), (7, "dog"))]}
    found = []
    for image in range(1, images + 1):
        side = size * scales[image % len(scales)]
        truth["images"].append({"id": image * 10, "width": side, "height": side, "file_name": f"{image}.jpg"})
        for _ in range(generator.integers(0, 5)):
            w, h = generator.integers(5, 16, 2)
            box = [*map(int, generator.integers(0, size - 16, 2)), int(w), int(h)]
            category, there = int(generator.choice([3, 7])), shown(image, box)
            truth["annotations"].append({
                **there, "id": len(truth["annotations"]) + 1, "category_id": category,
                "area": float(coco_mask.area(there["segmentation"])), "iscrowd": int(generator.random() < 0.15),
            })  # fmt: skip
            for _ in range(generator.integers(0, 4)):
                moved = np.clip(
                    np.array(box) + generator.integers(-3, 4, 4), [0, 0, 3, 3], [size - 20, size - 20, 20, 20]
                )
                found.append((image, category if generator.random() < 0.8 else 10 - category, moved))
        for _ in range(generator.integers(0, 3)):
            found.append((image, int(generator.choice([3, 7])), generator.integers([0, 0, 4, 4], 20)))
    scores = generator.permutation(len(found)) / (len(found) + 1) + 0.001
    results = [
        {**shown(image, box), "category_id": category, "score": float(score)}
        for (image, category, box), score in zip(found, scores, strict=True)
    ]
    return truth, results


def make_masks(images=5, seed=0, classes=4, size=(9, 7), run=0):
    """Return true and predicted masks by name, 0 as no class and classes from 1; each run predicts others."""
    generator, of_run = np.random.default_rng(seed), np.random.default_rng([seed, *np.atleast_1d(run)])
    pairs = {}
    for image in range(images):
        true = generator.integers(0, classes + 1, size)
        true[generator.random(size) < 0.05] = 255
        predicted = np.where(of_run.random(size) < 0.5, true, of_run.integers(1, classes + 1, size))
        pairs[f"image {image}"] = (true, np.where((predicted == 0) | (predicted == 255), 1, predicted))
    return pairs


def write_detection(folder: Path, truth, results, name="predictions"):
    """Write the data and a run's predictions; returns the annotation file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "truth.json"
    path.write_text(json.dumps(truth))
    for kind in ("bbox", "segm"):
        (folder / f"{name}.{kind}.json").write_text(json.dumps(results))
    return path


def write_masks(folder: Path, pairs, name="predictions"):
    """Write true masks below ``truth`` and predicted ones."""
    for part, which in (("truth/val", 0), (name, 1)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for image, pair in pairs.items():
            Image.fromarray(pair[which].astype(np.uint8)).save(folder / part / f"{image}.png")
    return folder / "truth"


@pytest.fixture(scope="session")
def made() -> SimpleNamespace:
    """What makes and writes the sets."""
    return SimpleNamespace(
        detection=make_detection, masks=make_masks, write_detection=write_detection, write_masks=write_masks
    )
