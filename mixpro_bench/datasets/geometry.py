"""Where in the stored picture an augmented image lies, so that maps of the picture can be cut out along with it.

The steps of timm's and torchvision's transforms are run one by one, with the same draws in the same order as the
transform itself would make: images are the same with and without their geometry.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from mixpro_bench.errors import UserError

# What leaves every pixel where it is.
PIXELWISE = (
    "ColorJitter",
    "GaussianBlur",
    "MaybePILToTensor",
    "MaybeToTensor",
    "Normalize",
    "PILToTensor",
    "RandomErasing",
    "RandomGrayscale",
    "ToTensor",
)
WARPS = ("ShearX", "ShearY", "TranslateX", "TranslateY", "TranslateXRel", "TranslateYRel", "Rotate")


@dataclass(frozen=True)
class Geometry:
    """How an augmented image was cut out of its picture: flipped, then cropped, then warped.

    Attributes:
        hflip: The picture was mirrored left to right.
        vflip: The picture was mirrored top to bottom.
        crop: Top, left, height and width of the crop in the mirrored picture, as shares of its sides. It may reach
            beyond the picture where the transform pads.
        warp: Affine map from places of the image to places of the crop, both with x and y running from -1 to 1 (as
            ``torch.nn.functional.affine_grid`` takes it), float32, shape (2, 3). The fill that one warp brought in and
            the next moved back is not known to it.
    """

    hflip: bool = False
    vflip: bool = False
    crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    warp: np.ndarray | None = None


class LocatedTransform:
    """Runs a composed transform and says where its result lies in the picture.

    Args:
        transform: What `mixpro_bench.datasets.classification.build_transform` returns.

    Raises:
        UserError: If the transform has a step that moves pixels in a way that is not followed.
    """

    def __init__(self, transform: Any) -> None:
        self.steps = tuple(_steps(transform))
        self._matrix = np.eye(3)
        operations = [op for step in self.steps for op in _operations(step)]
        for step in self.steps:
            _check(step)
        self.warps = any(op.name in WARPS for op in operations)
        for op in operations:
            if op.name in WARPS:
                op.aug_fn = functools.partial(self._warp, op.name, op.aug_fn)

    def __call__(self, picture: Image.Image) -> tuple[torch.Tensor, Geometry]:
        """Return the augmented image and its geometry; ``warp`` is given if the transform has warps at all."""
        self._matrix = np.eye(3)
        image: Any = picture
        crop = (0.0, 0.0, 1.0, 1.0)
        flips = [False, False]
        size = picture.size
        for step in self.steps:
            name = type(step).__name__
            if name in _CROPS:
                image, crop = _CROPS[name](step, image)
                size = image.size
            elif name in _FLIPS:
                # The draw of torchvision's RandomHorizontalFlip and RandomVerticalFlip.
                if torch.rand(1) < step.p:
                    axis, method = _FLIPS[name]
                    image = image.transpose(method)
                    flips[axis] = not flips[axis]
            else:
                image = step(image)
        top, left, height, width = crop
        crop = (1 - top - height if flips[1] else top, 1 - left - width if flips[0] else left, height, width)
        warp = _normalised(self._matrix, *size) if self.warps else None
        return image, Geometry(flips[0], flips[1], crop, warp)

    def _warp(self, name: str, function: Callable, image: Image.Image, *arguments: float, **options: Any) -> Any:
        self._matrix = self._matrix @ warp_matrix(name, arguments[0], *image.size)
        return function(image, *arguments, **options)


def warp_matrix(name: str, amount: float, width: int, height: int) -> np.ndarray:
    """Return the affine map from a place of timm's warped image to the place it shows, in pixels.

    Args:
        name: One of ``WARPS``, as in `timm.data.auto_augment`.
        amount: Its argument: a factor, pixels, a share of the side, or degrees.
        width: Of the image, in pixels.
        height: Of the image, in pixels.

    Returns:
        float64, shape (3, 3).
    """
    m = np.eye(3)
    if name == "ShearX":
        m[0, 1] = amount
    elif name == "ShearY":
        m[1, 0] = amount
    elif name.startswith("TranslateX"):
        m[0, 2] = amount * (width if name.endswith("Rel") else 1)
    elif name.startswith("TranslateY"):
        m[1, 2] = amount * (height if name.endswith("Rel") else 1)
    else:
        cos, sin = math.cos(math.radians(amount)), math.sin(math.radians(amount))
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        centre = np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1]])
        m = centre @ turn @ np.linalg.inv(centre)
    return m


def _normalised(matrix: np.ndarray, width: int, height: int) -> np.ndarray:
    """Bring an affine map in pixels to sides from -1 to 1."""
    to_pixels = np.array([[width / 2, 0, width / 2], [0, height / 2, height / 2], [0, 0, 1]])
    return (np.linalg.inv(to_pixels) @ matrix @ to_pixels)[:2].astype(np.float32)


def _resized_crop(step: Any, image: Image.Image) -> tuple[Image.Image, tuple[float, float, float, float]]:
    """Do what timm's RandomResizedCropAndInterpolation does."""
    from torchvision.transforms import functional

    width, height = image.size
    i, j, h, w = step.get_params(image, step.scale, step.ratio)
    chosen = step.interpolation
    chosen = random.choice(chosen) if isinstance(chosen, Sequence) else chosen
    return functional.resized_crop(image, i, j, h, w, step.size, chosen), (i / height, j / width, h / height, w / width)


def _padded_crop(step: Any, image: Image.Image) -> tuple[Image.Image, tuple[float, float, float, float]]:
    """Do what torchvision's RandomCrop does, with the same padding on all sides."""
    from torchvision.transforms import functional

    width, height = image.size
    pad = step.padding or 0
    if pad:
        image = functional.pad(image, pad, step.fill, step.padding_mode)
    i, j, h, w = step.get_params(image, step.size)
    crop = ((i - pad) / height, (j - pad) / width, h / height, w / width)
    return functional.crop(image, i, j, h, w), crop


_CROPS = {"RandomResizedCropAndInterpolation": _resized_crop, "RandomCrop": _padded_crop}
_FLIPS = {
    "RandomHorizontalFlip": (0, Image.Transpose.FLIP_LEFT_RIGHT),
    "RandomVerticalFlip": (1, Image.Transpose.FLIP_TOP_BOTTOM),
}


def _steps(transform: Any) -> list[Any]:
    if isinstance(transform, (list, tuple)):
        return [step for part in transform for step in _steps(part)]
    return _steps(transform.transforms) if type(transform).__name__ == "Compose" else [transform]


def _operations(step: Any) -> list[Any]:
    """Return timm's augmentation operations of a step, each once."""
    if type(step).__name__ == "RandAugment":
        return list(step.ops)
    if type(step).__name__ == "AutoAugment":
        return [op for part in step.policy for op in part]
    return []


def _check(step: Any) -> None:
    if not _known(step):
        inner = getattr(step, "transforms", ())
        name = " of ".join([type(step).__name__, *(type(part).__name__ for part in inner)])
        raise UserError(
            f"dataset.transform has the step {name}, and teacher_maps cannot be cut out along with it: leave the step "
            "out, or let a teacher network run beside (labeler.teacher)"
        )


def _known(step: Any) -> bool:
    name = type(step).__name__
    if name == "RandomApply":
        return all(type(part).__name__ in PIXELWISE for part in step.transforms)
    if name == "RandomCrop":
        return not step.pad_if_needed and isinstance(step.padding, (int, type(None)))
    # Resize shows the whole picture, whether it keeps the proportions or not.
    return name in _CROPS or name in _FLIPS or name in PIXELWISE or name in ("AutoAugment", "RandAugment", "Resize")
