"""The built-in data: real handwritten digits in colour scenes, as three sets over the same ten classes.

``cls`` is an ImageFolder, ``det`` a COCO instance set, ``seg`` has ADE20K's layout. They are made on the spot, need no
download, and are read by the same loaders as anybody's data.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from mixpro_bench.datasets.scenes import SPLITS, Glyphs, Scene, load_glyphs, make_scene
from mixpro_bench.datasets.writers import write_classification, write_detection, write_segmentation
from mixpro_bench.errors import UserError

VERSION = 1  # of the scenes' recipe; another version is other data and goes to another folder

COUNTS = {"cls": (4000, 1000), "det": (600, 150), "seg": (600, 150)}
"""Pictures of (train, val)."""

SIDES = {"cls": 32, "det": 96, "seg": 96}
"""Picture sides in pixels."""
CROWDS = {"det": ((2, 4), (24, 44)), "seg": ((6, 9), (22, 34))}
"""Least and largest number of digits in a scene, and least and largest side of a digit in pixels.

Scenes for segmentation are crowded: every pixel needs the digit's identity, and a minute of training sees few scenes.
"""

_WRITERS = {"cls": write_classification, "det": write_detection, "seg": write_segmentation}


def set_name(seed: int = 0, counts: dict[str, tuple[int, int]] | None = None) -> str:
    """Return the folder name of a set: version and seed, and a hash of the counts when they are not the usual ones.

    Examples:
        >>> set_name()
        'v1-seed0'
    """
    name = f"v{VERSION}-seed{seed}"
    wanted = _counts(counts)
    if wanted == COUNTS:
        return name
    return f"{name}-{hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:8]}"


def build_digits(root: str | Path, *, seed: int = 0, counts: dict[str, tuple[int, int]] | None = None) -> Path:
    """Make the built-in data under ``root`` unless it is there.

    Processes that ask at the same time wait for the one that writes. The set appears under its name only when it is
    complete, with a ``manifest.json`` beside it that gives version, seed, counts and the sha256 of the content.

    Args:
        root: Folder that holds the sets; made if missing.
        seed: Seed of the scenes. The split of the handwritten digits does not depend on it.
        counts: ``{"cls": (train, val), ...}`` where `COUNTS` is not wanted.

    Returns:
        The folder with ``cls``, ``det`` and ``seg``: ``root / set_name(seed, counts)``.

    Raises:
        UserError: ``root`` is a file or cannot be written to.
    """
    root = Path(root)
    target = root / set_name(seed, counts)
    manifest = target / "manifest.json"
    if manifest.is_file():
        return target
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{target.name}.lock"):
            if not manifest.is_file():
                _build(target, seed, _counts(counts))
    except OSError as error:
        raise UserError(f"cannot write the built-in data to '{root}' ({error}): give another folder") from error
    return target


def _counts(counts: dict[str, tuple[int, int]] | None) -> dict[str, tuple[int, int]]:
    """Fill in the counts that are not given."""
    unknown = set(counts or ()) - set(COUNTS)
    if unknown:
        raise UserError(f"counts names {sorted(unknown)}, but the built-in sets are {sorted(COUNTS)}")
    wanted = {**COUNTS, **(counts or {})}
    return {kind: (int(train), int(val)) for kind, (train, val) in wanted.items()}


def _build(target: Path, seed: int, counts: dict[str, tuple[int, int]]) -> None:
    """Write the sets into a temporary folder beside ``target`` and rename it."""
    if target.exists():
        raise UserError(f"'{target}' exists but has no manifest.json: move it away, the built-in data goes there")
    for stale in target.parent.glob(f".{target.name}.*/"):  # of a process that was killed: the lock is ours
        shutil.rmtree(stale, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        glyphs = {split: load_glyphs(split) for split in SPLITS}
        content = {
            f"{kind}/{split}": writer(work / kind, split, _scenes(seed, split, kind, glyphs[split], count))
            for kind, writer in _WRITERS.items()
            for split, count in zip(SPLITS, counts[kind], strict=True)
        }
        fingerprint = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        manifest = {"version": VERSION, "seed": seed, "counts": counts, "content": content, "sha256": fingerprint}
        (work / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        work.chmod(0o755)
        os.replace(work, target)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def _scenes(seed: int, split: str, kind: str, glyphs: Glyphs, count: int) -> Iterator[Scene]:
    """Yield the scenes of one split of one set; classification goes round the classes, so they are balanced."""
    for index in range(count):
        if kind == "cls":
            yield make_scene(seed, split, kind, index, glyphs, SIDES[kind], (1, 1), (22, 32), label=index % 10)
        else:
            yield make_scene(seed, split, kind, index, glyphs, SIDES[kind], *CROWDS[kind])
