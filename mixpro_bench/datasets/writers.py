"""Writes scenes in the on-disk formats of the field: ImageFolder, COCO instances, ADE20K."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mixpro_bench.datasets.scenes import CLASSES, Scene

# ADE20K's names of the splits.
ADE_SPLITS = {"train": "training", "val": "validation"}


def write_png(path: Path, image: np.ndarray, content: Any) -> None:
    """Write an (H,W,3) RGB or (H,W) uint8 picture and feed name and pixels to the hash ``content``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image):
        raise OSError(f"could not write {path}")
    content.update(f"{path.name}{image.shape}".encode())
    content.update(np.ascontiguousarray(image))


def write_classification(root: Path, split: str, scenes: Iterable[Scene]) -> str:
    """Write ``root/split/<class>/*.png``, one digit a picture; return the sha256 of names and pixels."""
    content = hashlib.sha256()
    for number, scene in enumerate(scenes):
        write_png(root / split / CLASSES[scene.labels[0]] / f"{number:05d}.png", scene.image, content)
    return content.hexdigest()


def write_segmentation(root: Path, split: str, scenes: Iterable[Scene]) -> str:
    """Write ``root/{images,annotations}/{training,validation}``; return the sha256 of names and pixels.

    Mask values: 0 background, which the configs leave out as unlabelled (``reduce_zero_label=True``), 1..10 the digits.
    """
    content = hashlib.sha256()
    for number, scene in enumerate(scenes):
        classes = (scene.masks * (scene.labels + 1)[:, None, None]).sum(0).astype(np.uint8)
        name = f"{number:05d}.png"
        write_png(root / "images" / ADE_SPLITS[split] / name, scene.image, content)
        write_png(root / "annotations" / ADE_SPLITS[split] / name, classes, content)
    return content.hexdigest()


def write_detection(root: Path, split: str, scenes: Iterable[Scene]) -> str:
    """Write ``root/split/*.png`` and ``root/annotations/instances_{split}.json``; return the sha256 of the content.

    Masks are compressed run lengths, so that box and area are those of the mask to the pixel.
    """
    content = hashlib.sha256()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, scene in enumerate(scenes):
        name = f"{number:05d}.png"
        write_png(root / split / name, scene.image, content)
        height, width = scene.image.shape[:2]
        images.append({"id": number + 1, "file_name": name, "height": height, "width": width})
        for mask, label in zip(scene.masks, scene.labels, strict=True):
            annotations.append(_instance(len(annotations) + 1, number + 1, int(label) + 1, mask))
    data = {
        "info": {"description": "handwritten digits composed into scenes"},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i + 1, "name": name, "supercategory": "digit"} for i, name in enumerate(CLASSES)],
    }
    text = json.dumps(data)
    path = root / "annotations" / f"instances_{split}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    content.update(text.encode())
    return content.hexdigest()


def _instance(number: int, image: int, category: int, mask: np.ndarray) -> dict[str, Any]:
    """Return the COCO annotation of a (H, W) mask."""
    from pycocotools import mask as coco_mask

    runs = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [float(v) for v in coco_mask.toBbox(runs)],
        "area": float(coco_mask.area(runs)),
        "iscrowd": 0,
        "segmentation": {"size": [int(v) for v in runs["size"]], "counts": runs["counts"].decode("ascii")},
    }
