"""Finding and loading the Records below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.record import RECORD_NAME, Record, read_record


@dataclass(frozen=True)
class Index:
    """All Records below one folder.

    Attributes:
        root: The folder.
        records: Path and Record of each readable file, in the order of their paths.
        bad: Path and reason of each unreadable one.
    """

    root: Path
    records: tuple[tuple[Path, Record], ...]
    bad: tuple[tuple[Path, str], ...]


def find_records(root: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the path of each ``record.json`` below ``root``.

    Folders whose name begins with ``_`` or ``.`` are left out: that is where a suite puts runs that no longer count.
    """
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(("_", ".")))
        if RECORD_NAME in files:
            yield Path(folder, RECORD_NAME)


def load_index(root: str | os.PathLike[str]) -> Index:
    """Load every Record below ``root``.

    Raises:
        UserError: If the folder is missing, holds no Record, or none that can be read.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root} is not a folder: name a folder that holds the work dirs of finished runs")
    good: list[tuple[Path, Record]] = []
    bad: list[tuple[Path, str]] = []
    for path in find_records(root):
        try:
            good.append((path, read_record(path)))
        except UserError as error:
            bad.append((path, str(error)))
    if not good and not bad:
        raise UserError(f"no {RECORD_NAME} below {root}: a finished run writes one into its work dir")
    if not good:
        raise UserError(f"none of the {len(bad)} Records below {root} can be read; the first: {bad[0][1]}")
    return Index(root, tuple(good), tuple(bad))
