"""Procedural backgrounds: smooth noise, gradients, stripes and checks in two colours of similar lightness."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

KINDS = ("noise", "gradient", "stripes", "checks")


def colour(draw: np.random.Generator, lightness: float) -> np.ndarray:
    """Draw a colour of a given HLS lightness: (3,) float32 in 0..255, any hue, low to middling saturation."""
    red_green_blue = colorsys.hls_to_rgb(draw.random(), lightness, draw.uniform(0.2, 0.7))
    return np.asarray(red_green_blue, dtype=np.float32) * 255


def pattern(draw: np.random.Generator, size: int) -> np.ndarray:
    """Draw one of `KINDS` as a (size, size) float32 picture in 0..1."""
    kind = KINDS[draw.integers(len(KINDS))]
    if kind == "noise":
        coarse = draw.random((draw.integers(3, 9),) * 2, dtype=np.float32)
        return np.clip(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), 0, 1)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    angle = draw.uniform(0, 2 * np.pi)
    along = (x - size / 2) * np.cos(angle) + (y - size / 2) * np.sin(angle)
    if kind == "gradient":
        return np.clip(along / (1.5 * size) + 0.5, 0, 1).astype(np.float32)
    period = draw.uniform(8, 24)
    wave = np.sin(2 * np.pi * along / period)
    if kind == "checks":
        across = (y - size / 2) * np.cos(angle) - (x - size / 2) * np.sin(angle)
        wave = wave * np.sin(2 * np.pi * across / period)
    return (0.5 + 0.5 * wave).astype(np.float32)


def background(draw: np.random.Generator, size: int, lightness: float) -> np.ndarray:
    """Draw a background.

    Args:
        draw: The generator of the scene.
        size: Width and height in pixels.
        lightness: Mean HLS lightness, 0..1; the two colours lie within 0.08 of it, so that a digit of another
            lightness stays readable.

    Returns:
        (size, size, 3) float32 in 0..255, RGB, with a little pixel noise.
    """
    mix = pattern(draw, size)[..., None]
    first, second = (colour(draw, float(lightness + shift)) for shift in draw.uniform(-0.08, 0.08, 2))
    grain = draw.normal(0, 4, (size, size, 1)).astype(np.float32)
    return np.clip(first * mix + second * (1 - mix) + grain, 0, 255)
