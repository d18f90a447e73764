"""Files of an ImageFolder split, in folders or in one zip or tar, behind one small interface."""

from __future__ import annotations

import io
import os
from bisect import bisect_left
from pathlib import Path
from typing import BinaryIO

from mixpro_bench.datasets.packed import Packed, open_packed
from mixpro_bench.errors import UserError

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
PACKED = (".zip", ".tar")


class Archive:
    """The pictures of one split: ``split/<class>/**.jpg``, or the same in ``split.zip`` or ``split.tar``.

    Inside a zip or tar, names may begin with ``split/`` or not. Where several are there, the folder is taken before
    the zip and the zip before the tar. The order of ``names`` is the same for all three. Nothing is unpacked, and one
    instance may be read by any number of threads and forked workers.

    Args:
        root: Folder that holds the splits.
        split: Name of the split.

    Raises:
        UserError: None of the three is there, it cannot be read, or nothing that looks like a picture is inside.
    """

    def __init__(self, root: str | Path, split: str) -> None:
        self.path = find_split(root, split)
        self.packed: Packed | None = open_packed(self.path) if self.path.is_file() else None
        names = _walk(self.path) if self.packed is None else self.packed.names
        pictures = sorted(name for name in names if name.lower().endswith(EXTENSIONS) and not _hidden(name))
        if not pictures:
            inner = next((name for name in names if name.lower().endswith((".tar", ".zip"))), None)
            way = f"unpack '{inner}' and its like into a folder per class" if inner else "put a folder per class there"
            raise UserError(f"'{self.path}' holds no pictures ({', '.join(EXTENSIONS)}); {way}")
        inside = self.packed is not None and all(name.startswith(f"{split}/") for name in pictures)
        self.prefix = f"{split}/" if inside else ""
        self.names = [name.removeprefix(self.prefix) for name in pictures] if inside else pictures

    def open(self, name: str) -> BinaryIO:
        """Open one of ``names`` for reading."""
        if self.packed is None:
            return open(self.path / name, "rb")
        return io.BytesIO(self.packed.read(self.prefix + name))

    def stamp(self, name: str) -> str:
        """Return what changes when the bytes of ``name`` do: size and time, or size and place in the zip or tar."""
        if self.packed is None:
            about = os.stat(self.path / name)
            return f"{about.st_size}:{about.st_mtime_ns}"
        return self.packed.stamp(self.prefix + name)

    def __contains__(self, name: str) -> bool:
        """Whether there is a picture ``name``."""
        place = bisect_left(self.names, name)
        return place < len(self.names) and self.names[place] == name


def find_split(root: str | Path, split: str) -> Path:
    """Return where a split lies: its folder, else its zip, else its tar.

    Raises:
        UserError: None of them is there.
    """
    candidates = [Path(root) / split, *(Path(root) / f"{split}{suffix}" for suffix in PACKED)]
    if candidates[0].is_dir():
        return candidates[0]
    for path in candidates[1:]:
        if path.is_file():
            return path
    raise UserError(
        f"no classification data: neither the folder '{candidates[0]}' nor '{candidates[1]}' nor '{candidates[2]}' "
        "exists; correct the data root (MIXPRO_DATA_ROOT or the config's dataset.root), or run 'mixpro-bench "
        "make-data' for the built-in data"
    )


def class_folders(root: str | Path, split: str) -> tuple[str, ...]:
    """Return the sorted class folders of a split; a folder's pictures are not listed, which is quick for big sets.

    Raises:
        UserError: There is no such split, or it has no class folders.
    """
    path = find_split(root, split)
    if path.is_file():
        archive = Archive(root, split)
        names = sorted({name.split("/", 1)[0] for name in archive.names if "/" in name})
    else:
        names = sorted(entry.name for entry in os.scandir(path) if entry.is_dir() and not _hidden(entry.name))
    if not names:
        raise UserError(f"'{path}' has no class folders: put one folder per class there")
    return tuple(names)


def _walk(folder: Path) -> list[str]:
    found = []
    for where, _, files in os.walk(folder, followlinks=True):
        inside = Path(where).relative_to(folder)
        found += [(inside / file).as_posix() for file in files]
    return found


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
