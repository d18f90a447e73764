"""Pictures that are no `ImageFolder` of their own: kept as an array, or in folders of another data set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mixpro_bench.datasets.archive import Archive
from mixpro_bench.datasets.classification import ImageFolder
from mixpro_bench.errors import UserError


class Kept(ImageFolder):
    """Pictures of an array.

    Args:
        pictures: RGB, uint8, (n, H, W, 3); those of this process, every ``world``-th from ``rank`` on.
        labels: Of the pictures of all processes, (N,).
        classes: Names of the classes.
        transform: From a picture to a tensor.
        rank: Number of this process.
        world: Number of processes.
    """

    def __init__(
        self,
        pictures: np.ndarray,
        labels: np.ndarray,
        classes: tuple[str, ...],
        transform: Callable[[Image.Image], torch.Tensor],
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.pictures, self.labels, self.transform = pictures, labels, transform
        self.metainfo = {"classes": classes}
        self.rank, self.world = rank, world

    def image(self, index: int) -> Image.Image:
        """Return one picture; of another process' share, the one before it of this one's."""
        return Image.fromarray(np.asarray(self.pictures[max(0, index - self.rank) // self.world]))

    def __repr__(self) -> str:
        """Tell how many there are."""
        return f"Kept({len(self)} pictures)"


class Listed(ImageFolder):
    """Some pictures of a folder, or of a zip or tar of it.

    Args:
        archive: What holds them.
        names: Their names in it.
        labels: Their labels, -1 for none.
        classes: Names of the classes.
        transform: From a picture to a tensor.
        change: Changes a picture before that.
    """

    def __init__(
        self,
        archive: Archive,
        names: Sequence[str],
        labels: Sequence[int],
        classes: tuple[str, ...],
        transform: Any,
        change: Callable[[Image.Image], Image.Image] | None = None,
    ) -> None:
        self.archive, self.names, self.transform, self.change = archive, list(names), transform, change
        self.labels = np.asarray(labels, dtype=np.int64)
        self.metainfo = {"classes": classes}

    def image(self, index: int) -> Image.Image:
        """Return one picture, RGB."""
        name = self.names[index]
        try:
            with self.archive.open(name) as stream:
                picture = Image.open(stream).convert("RGB")
        except Exception as error:
            raise UserError(
                f"cannot read the picture '{name}' in '{self.archive.path}' ({error}): remove or replace it"
            ) from error
        return picture if self.change is None else self.change(picture)

    def __repr__(self) -> str:
        """Name the source."""
        return f"Listed({self.archive.path}, {len(self)} pictures)"


def open_folder(path: str | Path) -> Archive:
    """Open a folder of pictures, or the zip or tar of one.

    Raises:
        UserError: If it is not there or holds no pictures.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} does not exist: name a folder of pictures, or the zip or tar of one")
    return Archive(path.parent, path.name if path.is_dir() else path.stem)


def told_of(path: str | Path, inside: Path | None = None) -> str:
    """Return what a folder of pictures is told by in options: its name, and a hash of the names of its pictures.

    Where it lies makes no difference, but another folder of the same name does.

    Args:
        path: The folder.
        inside: The folder in it that speaks for all of it, as listing the whole would take long.
    """
    names = "\n".join(open_folder(inside or path).names)
    return f"{Path(path).absolute().name} {hashlib.sha256(names.encode()).hexdigest()[:12]}"


def evenly(count: int, most: int | None) -> torch.Tensor:
    """Return at most ``most`` of ``count`` indices, evenly spread, rising; all of them for None.

    Examples:
        >>> evenly(10, 4).tolist(), evenly(3, 4).tolist()
        ([0, 2, 5, 7], [0, 1, 2])
    """
    chosen = count if most is None else min(most, count)
    return torch.arange(chosen) * count // max(1, chosen)


def split_transform(transform: Any) -> tuple[list[Callable], Any]:
    """Split a transform into what makes pictures of pictures (resize, crop) and what makes tensors of them.

    Raises:
        UserError: If it does not become a tensor in a step of its own.
    """
    from torchvision.transforms import Compose

    steps = list(getattr(transform, "transforms", ()))
    at = next((place for place, step in enumerate(steps) if type(step).__name__.endswith("ToTensor")), None)
    if at is None:
        raise UserError(
            "val_dataloader.dataset.transform has no step that makes a tensor of a picture: corruptions come before it"
        )
    return steps[:at], Compose(steps[at:])
