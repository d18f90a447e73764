"""Composes real handwritten digits into colour scenes with exact instance masks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mixpro_bench.datasets.textures import background, colour
from mixpro_bench.rng import rng

CLASSES = tuple(str(digit) for digit in range(10))
SPLITS = ("train", "val")

_TEST_SHARE = 0.2  # of the 1797 handwritten images; drawn once, the same for every seed of the scenes


@dataclass(frozen=True)
class Scene:
    """A picture and what is in it: image (S,S,3) uint8 RGB, masks (n,S,S) bool of visible pixels, labels (n,)."""

    image: np.ndarray
    masks: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Glyphs:
    """Handwritten digits: images (n,8,8) float32 in 0..1, labels (n,), and their row in scikit-learn's set."""

    images: np.ndarray
    labels: np.ndarray
    rows: np.ndarray


def load_glyphs(split: str) -> Glyphs:
    """Load the handwritten digits of a split; those of ``"val"`` are in no training scene.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
    the 1797 images that scikit-learn carries.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = rng(0, "digits/split", 0).permutation(len(bunch.images))
    held_out = round(_TEST_SHARE * len(order))
    rows = np.sort(order[:held_out] if split == "val" else order[held_out:])
    return Glyphs((bunch.images[rows] / 16).astype(np.float32), bunch.target[rows].astype(np.int64), rows)


def draw_glyph(
    draw: np.random.Generator, glyph: np.ndarray, size: float, canvas: int, corner: np.ndarray
) -> np.ndarray:
    """Write one glyph into an empty canvas: scaled, turned by up to 15 degrees, moved, with smooth edges.

    Args:
        draw: The generator of the scene.
        glyph: (8, 8) in 0..1.
        size: Side of the glyph's square in pixels.
        canvas: Side of the canvas in pixels.
        corner: (2,) x and y of the glyph's upper left corner.

    Returns:
        Opacity, (canvas, canvas) float32 in 0..1.
    """
    fine = cv2.resize(glyph, (32, 32), interpolation=cv2.INTER_CUBIC)
    turn = cv2.getRotationMatrix2D((15.5, 15.5), draw.uniform(-15, 15), size / 32)
    turn[:, 2] = turn[:, 2] + corner + size / 2 - 16
    placed = cv2.warpAffine(fine, turn, (canvas, canvas), flags=cv2.INTER_LINEAR)
    return np.clip((placed - 0.3) / 0.25, 0, 1)


def make_scene(
    seed: int,
    split: str,
    kind: str,
    index: int,
    glyphs: Glyphs,
    size: int,
    counts: tuple[int, int],
    sides: tuple[float, float],
    label: int | None = None,
) -> Scene:
    """Compose one scene: a function of (seed, split, kind, index).

    Args:
        seed: The data's seed.
        split: ``"train"`` or ``"val"``; enters the draws, while ``glyphs`` gives the digits.
        kind: The set it belongs to, such as ``"det"``; different sets get different scenes.
        index: Number of the scene in its set.
        glyphs: The digits to choose from.
        size: Side of the picture in pixels.
        counts: Least and largest number of digits.
        sides: Least and largest side of a digit's square in pixels.
        label: Take digits of this class only.

    Returns:
        The scene. Digits of a scene overlap little; where they do, the later one hides the earlier, and masks hold
        visible pixels only. A digit that found no room is left out, the first one never is.
    """
    draw = rng(seed, f"digits/{kind}/{split}", 0, index)
    # Ink is always lighter than paper: a small ViT learns that within the minutes that the demo has.
    paper = draw.uniform(0.1, 0.3)
    image = background(draw, size, paper)
    candidates = np.arange(len(glyphs.labels)) if label is None else np.flatnonzero(glyphs.labels == label)
    chosen = draw.choice(candidates, draw.integers(counts[0], counts[1] + 1))
    masks: list[np.ndarray] = []
    labels: list[int] = []
    boxes: list[np.ndarray] = []
    for which in chosen:
        side = draw.uniform(*sides)
        corners = draw.uniform(0, size - side, (200, 2))
        corner = next((c for c in corners if all(_overlap(np.append(c, side), b) < 0.15 for b in boxes)), None)
        if corner is None:
            continue
        opacity = draw_glyph(draw, glyphs.images[which], side, size, corner)
        ink = colour(draw, draw.uniform(0.65, 0.9))
        image += opacity[..., None] * (ink - image)
        mask = opacity > 0.5
        masks = [earlier & ~mask for earlier in masks]
        masks.append(mask)
        labels.append(int(glyphs.labels[which]))
        boxes.append(np.append(corner, side))
    return Scene(np.clip(image + 0.5, 0, 255).astype(np.uint8), np.stack(masks), np.asarray(labels))


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Return the overlap of two squares (x, y, side) as a share of the smaller one."""
    low = np.maximum(one[:2], other[:2])
    high = np.minimum(one[:2] + one[2], other[:2] + other[2])
    return float(np.prod(np.clip(high - low, 0, None)) / min(one[2], other[2]) ** 2)
