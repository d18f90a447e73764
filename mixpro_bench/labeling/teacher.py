"""A teacher's stored scores, brought to the map of one class in the crop that is trained on.

Source: the label maps of TokenLabeling as TokenMix uses them; Sense-X/TokenMix, tokenmix.py:24-65 and
relabel/label_transforms_factory.py:61.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align


def class_map(scores: Tensor, classes: Tensor, label: Tensor) -> Tensor:
    """Return the map of one class out of stored top-k scores; zero where the class was not among them.

    Args:
        scores: Shape (B, k, h, w).
        classes: Class index of each score, shape (B, k, h, w).
        label: The class wanted, shape (B,).

    Returns:
        float32, shape (B, h, w).
    """
    return (scores.float() * (classes.long() == label[:, None, None, None])).sum(dim=1)


def crop_map(maps: Tensor, crop: Tensor, side: int | tuple[int, int], swapped: bool = False) -> Tensor:
    """Cut a crop out of each map, by RoIAlign.

    Args:
        maps: Shape (B, h, w).
        crop: Top, left, height and width as shares of the image, shape (B, 4).
        side: Rows and columns of the result; one number for both.
        swapped: Read rows as columns and columns as rows, as released (tokenmix.py:36-44 hands top, left, bottom,
            right to an operator that takes x before y).

    Returns:
        float32, shape (B, rows, columns).
    """
    b, h, w = maps.shape
    size = (side, side) if isinstance(side, int) else side
    top, left, height, width = crop.float().unbind(1)
    y = torch.stack((top, top + height), dim=1) * h
    x = torch.stack((left, left + width), dim=1) * w
    first, second = (y, x) if swapped else (x, y)
    corners = torch.stack((first[:, 0], second[:, 0], first[:, 1], second[:, 1]), dim=1)
    number = torch.arange(b, device=maps.device, dtype=corners.dtype)[:, None]
    return roi_align(maps.float()[:, None], torch.cat((number, corners), dim=1), size, aligned=True)[:, 0]


def locate(maps: Tensor, crop: Tensor, warp: Tensor | None, size: tuple[int, int], swapped: bool = False) -> Tensor:
    """Bring maps of whole pictures to the token grids of the augmented images, in one call for the batch.

    Args:
        maps: Maps of the mirrored pictures, shape (B, h, w).
        crop: Top, left, height and width in the mirrored picture, as shares, shape (B, 4).
        warp: Affine map from places of the image to places of the crop, with sides from -1 to 1, shape (B, 2, 3);
            None for images that were only cropped. What lies outside the crop is zero.
        size: Rows and columns of tokens.
        swapped: See `crop_map`.

    Returns:
        float32, shape (B, rows, columns).
    """
    with torch.autocast(maps.device.type, enabled=False):
        cut = crop_map(maps, crop, size, swapped)
        if warp is None:
            return cut
        grid = F.affine_grid(warp.float(), [len(cut), 1, *size], align_corners=False)
        return F.grid_sample(cut[:, None], grid, align_corners=False)[:, 0]
