"""Stored maps of a teacher: for each picture the highest scores and their classes at each place, in one file.

The file is safetensors: ``scores`` (N, k, h, w) float16, probabilities; ``classes`` (N, k, h, w) int16 or int32, class
indices of the data; ``crc`` (N,) int64, CRC-32 of each picture's file; ``names`` (bytes,) uint8, the pictures' names in
order, one a line. Its metadata hold the sha256 of the names, the data's classes, the teacher and the sha256 of its
weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mixpro_bench.datasets.archive import Archive
from mixpro_bench.errors import UserError

FORMAT = "mixpro_bench.teacher_maps.1"
LOOKED_AT = 8


def names_bytes(names: Sequence[str]) -> bytes:
    """Return the names of pictures as they are stored."""
    return "\n".join(names).encode()


def picture_crc(archive: Archive, name: str) -> int:
    """Return the CRC-32 of a picture's file."""
    with archive.open(name) as stream:
        return zlib.crc32(stream.read())


def class_scores(scores: np.ndarray, classes: np.ndarray, label: int) -> np.ndarray:
    """Return the map of one class out of top-k scores; zero where the class was not among them.

    Args:
        scores: Shape (k, h, w).
        classes: Class index of each score, shape (k, h, w).
        label: The class wanted.

    Returns:
        float32, shape (h, w).
    """
    return np.where(classes == label, scores, 0).astype(np.float32).sum(axis=0)


class TeacherMaps:
    """The stored maps of the pictures of one split.

    Each process reads through a mapping of its own, so maps of any size cost no memory.

    Args:
        path: File made by ``mixpro-bench teacher-maps``.
        archive: The pictures.
        classes: Class names of the data, in the order of their labels.

    Raises:
        UserError: The file is missing or of another kind, was made for other classes or pictures, or lacks one.
    """

    def __init__(self, path: str | Path, archive: Archive, classes: Sequence[str]) -> None:
        self.path = Path(path)
        self.names = archive.names
        self.num_classes = len(classes)
        self._file: Any = None
        self._owner = -1
        told = read_metadata(self.path)
        made_for = json.loads(told["classes"])
        if made_for != list(classes):
            raise UserError(
                f"the teacher maps '{self.path}' were made for {_few(made_for)}, but the data have {_few(classes)}: "
                "make maps of these data (mixpro-bench teacher-maps)"
            )
        wanted = names_bytes(self.names)
        self.rows: np.ndarray | None = None
        if told["names"] != hashlib.sha256(wanted).hexdigest():
            self.rows = self._rows()
        for index in np.linspace(0, len(self.names) - 1, min(LOOKED_AT, len(self.names))).astype(int).tolist():
            if picture_crc(archive, self.names[index]) != int(self._slice("crc")[self._row(index)]):
                raise UserError(
                    f"the teacher maps '{self.path}' were made from another picture '{self.names[index]}' than the one "
                    f"in '{archive.path}': make maps of these data (mixpro-bench teacher-maps)"
                )
            self.own(index, 0)

    def own(self, index: int, label: int) -> np.ndarray:
        """Return the map of a picture's own class, float32 (h, w), zero where the class was not among the top k.

        Raises:
            UserError: A class index lies outside the data's classes, or a score is none; the picture is named.
        """
        row = self._row(index)
        scores, classes = self._slice("scores")[row], self._slice("classes")[row]
        if classes.min() < 0 or classes.max() >= self.num_classes:
            odd = int(classes.max() if classes.max() >= self.num_classes else classes.min())
            raise UserError(
                f"the teacher maps '{self.path}' give '{self.names[index]}' the class index {odd}, but the data have "
                f"{self.num_classes} classes: make the maps again"
            )
        own = class_scores(scores, classes, label)
        if not (np.isfinite(own).all() and (own >= 0).all()):
            raise UserError(
                f"the teacher maps '{self.path}' hold a negative or infinite score for '{self.names[index]}': "
                "make the maps again"
            )
        return own

    def _row(self, index: int) -> int:
        return int(index if self.rows is None else self.rows[index])

    def _rows(self) -> np.ndarray:
        """Return the row of each picture in the file, whose pictures are others or in another order."""
        stored = bytes(self._slice("names")[:]).decode().split("\n")
        row = {name: number for number, name in enumerate(stored)}
        missing = [name for name in self.names if name not in row]
        if len(missing) == len(self.names):
            raise UserError(
                f"the teacher maps '{self.path}' were made for another data set (its first picture is '{stored[0]}', "
                f"here '{self.names[0]}'): make maps of these data (mixpro-bench teacher-maps)"
            )
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UserError(
                f"the teacher maps '{self.path}' lack the picture '{missing[0]}'{more}: "
                "make them again (mixpro-bench teacher-maps)"
            )
        return np.asarray([row[name] for name in self.names], dtype=np.int64)

    def _slice(self, name: str) -> Any:
        from safetensors import safe_open

        if self._file is None or self._owner != os.getpid():
            self._file, self._owner = safe_open(self.path, framework="np"), os.getpid()
        return self._file.get_slice(name)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the open file."""
        return {**self.__dict__, "_file": None, "_owner": -1}


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return the metadata of a file of teacher maps.

    Raises:
        UserError: The file is missing, damaged, or holds something else.
    """
    from safetensors import safe_open

    path = Path(path)
    if not path.is_file():
        raise UserError(f"the teacher maps '{path}' do not exist: make them with mixpro-bench teacher-maps")
    with _readable(path), safe_open(path, framework="np") as file:
        told = dict(file.metadata() or {})
        held = set(file.keys())
    if told.get("format") != FORMAT or not {"scores", "classes", "crc", "names"} <= held:
        raise UserError(f"'{path}' holds no teacher maps: make them with mixpro-bench teacher-maps")
    return told


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, OSError) as error:
        raise UserError(f"the teacher maps '{path}' cannot be read ({error}): make or copy them again") from error


def _few(classes: Sequence[str]) -> str:
    return f"{len(classes)} classes ({', '.join(list(classes)[:3])}, ...)"
