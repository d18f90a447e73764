"""Looks at one picture or mask, in whichever process; what comes back are primitives."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from mixpro_bench.datasets.check.report import Report, plural, some
from mixpro_bench.datasets.check.scan import Source

MASK_MODES = ("L", "P", "1", "I", "I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True)
class Folder:
    """Files of a folder by relative name."""

    path: Path

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading."""
        return open(self.path / name, "rb")

    def stamp(self, name: str) -> str:
        """Return size and time."""
        about = os.stat(self.path / name)
        return f"{about.st_size}:{about.st_mtime_ns}"

    def names(self, suffixes: Iterable[str]) -> list[str]:
        """Return the sorted names of visible files with one of the suffixes, at any depth."""
        found = []
        for where, folders, files in os.walk(self.path, followlinks=True):
            folders[:] = [folder for folder in folders if not folder.startswith(".")]
            inside = Path(where).relative_to(self.path)
            kept = (file for file in files if not file.startswith(".") and file.lower().endswith(tuple(suffixes)))
            found += [(inside / file).as_posix() for file in kept]
        return sorted(found)


@dataclass(frozen=True)
class PictureLook:
    """Decodes a picture to its last pixel: ``size`` (width, height), ``mode``, ``problem``."""

    source: Source

    def __call__(self, name: str) -> dict[str, Any]:
        """Look at a picture."""
        try:
            with warnings.catch_warnings(), self.source.open(name) as stream:
                warnings.simplefilter("ignore")  # odd EXIF data and big pictures are no reason to refuse
                with Image.open(stream) as picture:
                    picture.convert("RGB")
                    return {"problem": None, "size": list(picture.size), "mode": picture.mode}
        except Exception as error:  # Pillow's decoders raise nearly anything
            return {"problem": _reason(error)}


@dataclass(frozen=True)
class MaskLook:
    """Reads a mask as mmseg does: ``size``, ``mode``, ``labels`` (sorted values, at most 300), ``problem``.

    If ``pictures`` is given, ``picture_size`` is the size of the picture ``names[name]`` in it, by its header.
    """

    source: Source
    pictures: Source | None = None
    names: dict[str, str] | None = None

    def __call__(self, name: str) -> dict[str, Any]:
        """Look at a mask."""
        try:
            with self.source.open(name) as stream, Image.open(stream) as mask:
                pixels = np.asarray(mask)
                seen: dict[str, Any] = {"problem": None, "size": list(mask.size), "mode": mask.mode, "labels": []}
            if seen["mode"] in MASK_MODES:
                seen["labels"] = [int(value) for value in np.unique(pixels)]
                seen["labels"] = (
                    seen["labels"][:150] + seen["labels"][-150:] if len(seen["labels"]) > 300 else seen["labels"]
                )
        except Exception as error:
            return {"problem": _reason(error)}
        if self.pictures is not None and self.names is not None:
            try:
                with self.pictures.open(self.names[name]) as stream, Image.open(stream) as picture:
                    seen["picture_size"] = list(picture.size)
            except Exception:  # the picture's own look reports it
                seen["picture_size"] = None
        return seen


def report_unreadable(report: Report, what: str, where: str, seen: dict[str, dict[str, Any]]) -> None:
    """Add one error for all files that could not be read, with the reason of the first."""
    bad = [name for name, result in seen.items() if result["problem"] is not None]
    if bad:
        report.error(
            "unreadable",
            f"{plural(len(bad), what)} of '{where}' cannot be read ({some(bad)}; the first: "
            f"{seen[bad[0]]['problem']}): fetch them again or remove them",
            bad,
        )


def _reason(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return "not a picture, or cut off at its start" if "cannot identify image file" in lines[0] else lines[0]
