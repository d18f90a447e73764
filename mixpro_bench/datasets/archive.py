"""Files of an ImageFolder split, in folders or in one zip, behind one small interface."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import BinaryIO

from mixpro_bench.errors import UserError

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


class Archive:
    """The pictures of one split: ``split/<class>/**.jpg``, or the same in ``split.zip`` (with or without ``split/``).

    A zip is opened by each process for itself, since a file position cannot be shared with forked workers.

    Args:
        root: Folder that holds the splits.
        split: Name of the split.

    Raises:
        UserError: Neither folder nor zip is there, or nothing that looks like a picture is inside.
    """

    def __init__(self, root: str | Path, split: str) -> None:
        self.path = _find(root, split)
        self.is_zip = self.path.is_file()
        names = _list(self.path) if self.is_zip else _walk(self.path)
        pictures = sorted(name for name in names if name.lower().endswith(EXTENSIONS) and not _hidden(name))
        if not pictures:
            raise UserError(f"'{self.path}' holds no pictures ({', '.join(EXTENSIONS)}); put a folder per class there")
        self.prefix = f"{split}/" if self.is_zip and all(name.startswith(f"{split}/") for name in pictures) else ""
        self.names = [name.removeprefix(self.prefix) for name in pictures]
        self._zip: zipfile.ZipFile | None = None
        self._owner = -1

    def open(self, name: str) -> BinaryIO:
        """Open one of ``names`` for reading."""
        if not self.is_zip:
            return open(self.path / name, "rb")
        if self._zip is None or self._owner != os.getpid():
            self._zip, self._owner = zipfile.ZipFile(self.path), os.getpid()
        return io.BytesIO(self._zip.read(self.prefix + name))

    def __getstate__(self) -> dict[str, object]:
        """Pickle without the open zip."""
        return {**self.__dict__, "_zip": None, "_owner": -1}


def class_folders(root: str | Path, split: str) -> tuple[str, ...]:
    """Return the sorted class folders of a split; a folder's pictures are not listed, which is quick for big sets.

    Raises:
        UserError: There is no such split, or it has no class folders.
    """
    path = _find(root, split)
    if path.is_file():
        archive = Archive(root, split)
        names = sorted({name.split("/", 1)[0] for name in archive.names if "/" in name})
    else:
        names = sorted(entry.name for entry in os.scandir(path) if entry.is_dir() and not _hidden(entry.name))
    if not names:
        raise UserError(f"'{path}' has no class folders: put one folder per class there")
    return tuple(names)


def _find(root: str | Path, split: str) -> Path:
    folder, packed = Path(root) / split, Path(root) / f"{split}.zip"
    if folder.is_dir():
        return folder
    if packed.is_file():
        return packed
    raise UserError(
        f"no classification data: neither the folder '{folder}' nor '{packed}' exists; correct the data root "
        "(MIXPRO_DATA_ROOT or the config's dataset.root), or run 'mixpro-bench make-data' for the built-in data"
    )


def _walk(folder: Path) -> list[str]:
    found = []
    for where, _, files in os.walk(folder, followlinks=True):
        inside = Path(where).relative_to(folder)
        found += [(inside / file).as_posix() for file in files]
    return found


def _list(packed: Path) -> list[str]:
    try:
        with zipfile.ZipFile(packed) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"'{packed}' is not a readable zip ({error}): fetch or pack it again") from error


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
