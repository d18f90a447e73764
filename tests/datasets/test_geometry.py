"""An augmented image and what its geometry says of it show the same place of the picture."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from mixpro_bench.datasets.classification import build_transform
from mixpro_bench.datasets.geometry import LocatedTransform
from mixpro_bench.datasets.seeding import seeded
from mixpro_bench.errors import UserError
from mixpro_bench.labeling.teacher import locate

PLAIN = dict(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
CROP = dict(input_size=64, is_training=True, interpolation="bilinear", color_jitter=None, scale=(0.2, 1.0), **PLAIN)
LIGHT = dict(type="light", input_size=64, is_training=True, pad=8, hflip=0.5, **PLAIN)


def smooth_picture(width: int = 96, height: int = 80) -> tuple[Image.Image, torch.Tensor]:
    """Return a picture without edges and its brightness, as a map of the same size."""
    y, x = np.mgrid[0:height, 0:width]
    values = 0.5 + 0.2 * np.sin(x / 17) + 0.2 * np.cos(y / 13 + x / 29) + 0.0008 * x
    grey = (values * 200).astype(np.uint8)
    return Image.fromarray(np.repeat(grey[..., None], 3, axis=2)), torch.from_numpy(grey.astype(np.float32) / 255)


def mapped(brightness: torch.Tensor, geometry, side: int = 64) -> torch.Tensor:
    """Cut the map out of the picture as the geometry says."""
    flips = [axis for axis, flip in ((1, geometry.hflip), (0, geometry.vflip)) if flip]
    maps = brightness.flip(flips)[None]
    warp = None if geometry.warp is None else torch.from_numpy(geometry.warp)[None]
    return locate(maps, torch.tensor([geometry.crop]), warp, (side, side))[0]


def inside(image: torch.Tensor, geometry) -> torch.Tensor:
    """Return where an image shows its picture: away from the fill, black here, that warps bring in."""
    if geometry.warp is None:
        return torch.ones_like(image, dtype=torch.bool)
    fill = F.max_pool2d((image < 0.02).float()[None], 5, stride=1, padding=2)[0]
    grid = F.affine_grid(torch.from_numpy(geometry.warp)[None], [1, 1, *image.shape], align_corners=False)
    return (fill == 0) & (grid.abs().amax(dim=-1) < 0.95)[0]


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({**CROP, "hflip": 0.0}, id="crop"),
        pytest.param({**CROP, "hflip": 0.5, "vflip": 0.5}, id="flips"),
        pytest.param({**CROP, "auto_augment": "rand-m9-mstd0.5-inc1"}, id="randaugment"),
        pytest.param(LIGHT, id="light"),
    ],
)
def test_the_map_stays_on_the_image(settings):
    picture, brightness = smooth_picture()
    transform = build_transform(settings)
    if "auto_augment" in settings:
        # Only what moves pixels: colours would hide whether the rest is right.
        step = next(s for s in transform.transforms if type(s).__name__ == "RandAugment")
        step.ops = [op for op in step.ops if op.name.startswith(("Shear", "Translate", "Rotate"))]
        assert len(step.ops) == 5
    located = LocatedTransform(transform)
    seen, shown = set(), 0.0
    for seed in range(40):
        with seeded(seed):
            image, geometry = located(picture)
        seen.add((geometry.hflip, geometry.vflip))
        keep = inside(image[0], geometry)
        shown += keep.float().mean().item() / 40
        if settings is LIGHT:  # what lies beyond the picture is reflected there, and unknown to the map
            keep = torch.zeros_like(keep)
            keep[9:-9, 9:-9] = True
        assert (image[0] - mapped(brightness, geometry)).abs()[keep].max() < 0.03, (seed, geometry)
    assert shown > 0.5
    flips = (1 + bool(settings.get("hflip", 0.5))) * (1 + bool(settings.get("vflip")))
    assert len(seen) == flips


def test_one_patch_is_found_again():
    grid = np.zeros((8, 8), dtype=np.float32)
    grid[2, 5] = 1
    picture = Image.fromarray((np.kron(grid, np.ones((8, 8))) * 255).astype(np.uint8)).convert("RGB")
    located = LocatedTransform(build_transform({**CROP, "hflip": 0.5}))
    for seed in range(20):
        with seeded(seed):
            image, geometry = located(picture)
        tokens = F.adaptive_avg_pool2d(image[:1], 8)[0]
        if tokens.max() > 0.5:
            assert mapped(torch.from_numpy(grid), geometry, 8).argmax() == tokens.argmax()


@pytest.mark.parametrize(
    "settings",
    [
        dict(input_size=48, is_training=True, auto_augment="rand-m9-mstd0.5-inc1", re_prob=0.5, re_mode="pixel"),
        dict(input_size=48, is_training=True, auto_augment="original", interpolation="bicubic", vflip=0.3),
        dict(input_size=48, is_training=True, color_jitter=0.3, grayscale_prob=0.2, gaussian_blur_prob=0.2),
        LIGHT,
    ],
)
def test_images_are_those_of_the_transform_itself(settings):
    picture, _ = smooth_picture()
    plain, located = build_transform(settings), LocatedTransform(build_transform(settings))
    for seed in range(12):
        with seeded(seed):
            expected = plain(picture)
            after = random.random(), np.random.random(), torch.rand(1)
        with seeded(seed):
            image, geometry = located(picture)
            assert (random.random(), np.random.random(), torch.rand(1)) == after
        assert torch.equal(image, expected)
        assert (geometry.warp is not None) == ("auto_augment" in settings)


@pytest.mark.parametrize(
    ("settings", "step"),
    [
        (dict(input_size=48, is_training=True, auto_augment="augmix-m5-w4-d2"), "AugMixAugment"),
        (dict(input_size=48, is_training=True, train_crop_mode="rkrc"), "ResizeKeepRatio"),
        (dict(input_size=48, is_training=False), "CenterCrop"),
    ],
)
def test_steps_that_cannot_be_followed_are_named(settings, step):
    with pytest.raises(UserError, match=f"the step {step}"):
        LocatedTransform(build_transform(settings))
