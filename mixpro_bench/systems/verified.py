"""What was checked of every system, kept in the package so that it can be listed without torch."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mixpro_bench.errors import UserError
from mixpro_bench.files import write_text_atomic
from mixpro_bench.systems.model import System

PATH = Path(__file__).with_name("verified.json")
NAMES = ("parameters", "features", "pretrain_step", "det_step", "seg_step")


@cache
def stored(path: Path = PATH) -> Mapping[str, Any]:
    """Return what the last verification of each system found.

    Returns:
        By system ``verified``, each check's outcome; ``sizes``, parameters and GMACs as counted; ``failed``, what a
        check expected and found; ``with``, the versions it ran on. Empty where nothing was verified yet.
    """
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def verified(one: System) -> dict[str, bool]:
    """Return for each check whether the system has passed it."""
    found = stored().get(one.name, {}).get("verified", {})
    return {name: bool(found.get(name)) for name in NAMES}


def verify(one: System) -> dict[str, Any]:
    """Run every check of a system, and return what is to be stored of it; see `stored`."""
    from mixpro_bench.systems.checks import CHECKS

    entry: dict[str, Any] = {"verified": {}, "sizes": {}, "failed": {}, "with": versions()}
    for name in NAMES:
        try:
            found = CHECKS[name](one)
        except Exception as error:  # a system may do anything; the others are to be checked all the same
            entry["failed"][name] = f"{type(error).__name__}: {error}".splitlines()[0]
        else:
            if name == "parameters":
                entry["sizes"] = found
        entry["verified"][name] = name not in entry["failed"]
    return entry


def versions() -> dict[str, str]:
    """Return the versions that a check depends on."""
    names = ("torch", "timm", "mmdet", "mmsegmentation")
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}}


def store(entries: Mapping[str, Any], known: Iterable[str], path: Path = PATH) -> None:
    """Put entries into the file, beside what it holds of other systems that are still known.

    Raises:
        UserError: If the file cannot be written.
    """
    kept = {name: entry for name, entry in stored(path).items() if name in set(known)}
    both = dict(sorted({**kept, **entries}.items(), key=lambda item: item[0].lower()))
    try:
        write_text_atomic(path, json.dumps(both, indent=1) + "\n")
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}): verify in a checkout, installed with pip install -e"
        ) from error
    stored.cache_clear()
