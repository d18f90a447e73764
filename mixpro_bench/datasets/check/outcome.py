"""What a check of a data folder found, remembered until the folder changes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from mixpro_bench.files import cache_dir, write_text_atomic

Outcome = Literal["passed", "failed"]

# How deep changes are looked for: the folders of classes or splits, and the files beside them that are no pictures.
DEPTH = 2
LISTS = (".json", ".txt", ".csv", ".zip", ".tar")


def remember(root: Path, passed: bool, deep: bool) -> None:
    """Keep the outcome of a check; where nothing can be written, nothing is kept.

    Args:
        root: Folder of the data.
        passed: Whether a run can start on them.
        deep: Whether every file was looked at.
    """
    content = {
        "root": str(root.resolve()),
        "outcome": "passed" if passed else "failed",
        "deep": deep,
        "checked": time.time(),
        "stamp": stamp(root),
    }
    with contextlib.suppress(OSError):
        write_text_atomic(_place(root), json.dumps(content, indent=1) + "\n")


def recall(root: Path) -> Outcome | None:
    """Return the outcome of the last check of a folder; None if there was none, or the folder has changed since."""
    try:
        told = json.loads(_place(root).read_text(encoding="utf-8"))
        outcome, then = told["outcome"], told["stamp"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return outcome if outcome in ("passed", "failed") and then == stamp(root) else None


def stamp(root: Path) -> str:
    """Return what changes when files are added to or removed from a data folder, or its lists are edited.

    Only times of folders and of lists are looked at, so it costs little for millions of pictures; one that is edited in
    its place goes unnoticed.
    """
    digest = hashlib.sha256()
    for name, facts in sorted(_facts(str(root.resolve()), "", DEPTH)):
        digest.update(f"{name}|{facts}\n".encode(errors="replace"))
    return digest.hexdigest()


def _facts(folder: str, name: str, depth: int) -> Iterator[tuple[str, str]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                inner = f"{name}/{entry.name}"
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    yield inner, str(entry.stat().st_mtime_ns)
                    if depth > 1:
                        yield from _facts(entry.path, inner, depth - 1)
                elif entry.name.endswith(LISTS):
                    facts = entry.stat()
                    yield inner, f"{facts.st_size} {facts.st_mtime_ns}"
    except OSError:
        yield name, "unreadable"


def _place(root: Path) -> Path:
    name = hashlib.sha256(str(root.resolve()).encode(errors="replace")).hexdigest()[:24]
    return cache_dir() / "check-data" / f"{name}.json"
