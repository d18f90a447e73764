"""Finding and loading the Records below a folder."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.collector import collector_off
from mixpro_bench.leaderboard.record import RECORD_NAME, Record, identity, read_record
from mixpro_bench.leaderboard.submission import is_results, read_results


@dataclass(frozen=True)
class Index:
    """All Records below one folder.

    Attributes:
        root: The folder.
        records: Path and Record of each readable file, in the order of their paths; ``FILE:LINE`` in a results file.
        bad: Path and reason of each unreadable one.
        copies: Path of each exact copy and of what it copies; it is not among the records, as it would count twice.
        contradictions: Pairs of Records of the same settings, seed, data and weights that differ in their metrics, as
            sentences; both are among the records.
    """

    root: Path
    records: tuple[tuple[Path, Record], ...]
    bad: tuple[tuple[Path, str], ...]
    copies: tuple[tuple[Path, Path], ...] = ()
    contradictions: tuple[str, ...] = ()


def find_records(root: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the path of each ``record.json`` and of each results file below ``root``.

    Folders whose name begins with ``_`` or ``.`` are left out: that is where a suite puts runs that no longer count.
    """
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(("_", ".")))
        if RECORD_NAME in files:
            yield Path(folder, RECORD_NAME)
        yield from filter(is_results, (Path(folder, name) for name in sorted(files)))


def load_index(root: str | os.PathLike[str]) -> Index:
    """Load every Record below ``root``, or in it if it is a results file.

    Raises:
        UserError: If the folder is missing, holds no Record, or none that can be read.
    """
    root = Path(root)
    if not root.is_dir() and not is_results(root):
        raise UserError(f"{root} is not a folder: name a folder that holds the work dirs of finished runs")
    good, bad = _load(find_records(root) if root.is_dir() else [root])
    if not good and not bad:
        raise UserError(f"no {RECORD_NAME} below {root}: a finished run writes one into its work dir")
    if not good:
        raise UserError(f"none of the {len(bad)} Records below {root} can be read; the first: {bad[0][1]}")
    return _index(root, good, bad)


def check(path: str | os.PathLike[str]) -> tuple[Index, list[str]]:
    """Load the Records below a folder, or one Record, and say all that is wrong with them.

    Returns:
        The index and one sentence per problem: what cannot be read and what contradicts another one.

    Raises:
        UserError: As `load_index`, but for one or several Records of which none can be read.
    """
    path = Path(path)
    if path.is_dir():
        good, bad = _load(find_records(path))
        if not good and not bad:
            raise UserError(f"no {RECORD_NAME} below {path}: a finished run writes one into its work dir")
    else:
        good, bad = _load([path])
    index = _index(path, good, bad)
    return index, [*(reason for _, reason in index.bad), *index.contradictions]


def _load(paths: Iterable[Path]) -> tuple[list[tuple[Path, Record]], list[tuple[Path, str]]]:
    good: list[tuple[Path, Record]] = []
    bad: list[tuple[Path, str]] = []
    with collector_off():
        for path in paths:
            try:
                found = read_results(path) if is_results(path) else [(path, read_record(path))]
                for place, record in found:
                    if isinstance(record, Record):
                        good.append((place, record))
                    else:
                        bad.append((place, record))
            except UserError as error:
                bad.append((path, str(error)))
    return good, bad


def _same_run(a: Record, b: Record) -> bool:
    """Tell whether two Records of the same identity are of one run, one of them submitted without paths and curves."""
    same_weights = a.provenance.checkpoint_sha256 == b.provenance.checkpoint_sha256
    return same_weights and a.created == b.created and a.metrics == b.metrics


@collector_off()
def _index(root: Path, good: list[tuple[Path, Record]], bad: list[tuple[Path, str]]) -> Index:
    first: dict[Hashable, list[tuple[Path, Record]]] = {}
    kept, copies, contradictions = [], [], []
    for path, record in good:
        same = first.setdefault(identity(record), [])
        original = next((other for other, known in same if known == record or _same_run(known, record)), None)
        if original is not None:
            copies.append((path, original))
            continue
        kept.append((path, record))
        if same and same[0][1].metrics != record.metrics:
            theirs, ours = same[0][1].metrics, record.metrics
            keys = sorted(key for key in {*theirs, *ours} if theirs.get(key) != ours.get(key))
            contradictions.append(
                f"{path} contradicts {same[0][0]}: the same settings, seed, data and weights, but other metrics "
                f"({', '.join(keys[:5])}{', ...' if len(keys) > 5 else ''})"
            )
        same.append((path, record))
    return Index(root, tuple(kept), tuple(bad), tuple(copies), tuple(contradictions))
