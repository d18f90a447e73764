"""Results files: Records of many people in one text file that is kept in git, one line each, with its checksum.

A line is a JSON object: ``run`` says in words what it is, ``sha256`` is that of the Record's content, ``record`` is the
Record. Lines are sorted as text, so whoever reviews a change sees new lines beside those of the same protocol and
backbone, and nothing else. Paths of the machine that a run was made on are left out.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mixpro_bench.errors import UserError
from mixpro_bench.files import sha256_of, write_text_atomic
from mixpro_bench.leaderboard.record import RECORD_NAME, Record, identity, read_record, record_from

SUFFIX = ".jsonl"
KEYS = ("run", "sha256", "record")
START = '{"run":'
LOCK_SECONDS = 60.0
# What a Record may lack in a folder of one's own, but not among those of others.
REQUIRED = (
    "recipe_hash",
    "seed",
    "provenance.commit",
    "provenance.config_sha256",
    "provenance.checkpoint_sha256",
    "provenance.data_fingerprint",
    "provenance.device",
    "provenance.packages",
    "metrics",
)
REQUIRED_OF_TRANSFER = ("provenance.upstream_sha256", "provenance.load_audit")


@dataclass(frozen=True)
class Line:
    """One line of a results file.

    Attributes:
        number: Counted from 1.
        text: As it stands there.
        record: Its Record; None where it cannot be read.
        problems: What is wrong with it, as sentences; none if it is good.
    """

    number: int
    text: str
    record: Record | None
    problems: tuple[str, ...] = ()


def submit(run: str | os.PathLike[str], to: str | os.PathLike[str], *, curves: bool = False) -> str:
    """Add the Record of a run to a results file, which is made if there is none; its lines stay sorted.

    Several processes may add to the same file at once.

    Args:
        run: Folder of a finished run, or its Record.
        to: The results file.
        curves: Keep the curves too, which make a line many times longer.

    Returns:
        The words that the new line begins with.

    Raises:
        UserError: The Record lacks what others need, its checkpoint is another one by now, it is in the file already,
            or the file has bad lines. The file is then left as it is.
    """
    path = Path(run)
    path = path / RECORD_NAME if path.is_dir() else path
    to = Path(to)
    if to.suffix != SUFFIX:
        raise UserError(f"--to {to}: the name of a results file ends in {SUFFIX}")
    record = read_record(path)
    problems = [*_lacking(record), *_wrong_checkpoint(record, path.parent)]
    if problems:
        raise UserError(f"{path} cannot be submitted: {'; '.join(problems)}")
    if not to.parent.is_dir():
        raise UserError(f"--to {to}: there is no folder {to.parent}")
    text = line_of(record, curves=curves)
    try:
        with FileLock(to.with_name(f".{to.name}.lock"), timeout=LOCK_SECONDS):
            known = _read(to) if to.exists() else []
            for line in known:
                if line.problems:
                    raise UserError(f"{to}:{line.number} is bad, correct it first: {line.problems[0]}")
                if line.record is not None and identity(line.record) == identity(record):
                    same = "the same" if line.record.metrics == record.metrics else "other"
                    raise UserError(
                        f"{to}:{line.number} holds a run of the same settings, seed, data and weights with {same} "
                        f"metrics: to replace it, delete that line first"
                    )
            lines = sorted([*(line.text for line in known), text])
            write_text_atomic(to, "".join(f"{line}\n" for line in lines))
    except Timeout:
        raise UserError(f"{to} is being written by another process: try again") from None
    except OSError as error:
        raise UserError(f"{to} cannot be written: {error.strerror or error}") from None
    return title_of_line(record)


def check(paths: Iterable[str | os.PathLike[str]]) -> tuple[int, list[str]]:
    """Check results files, as a continuous integration does before a change is taken.

    Returns:
        The number of good lines, and one sentence per problem: what cannot be read, a missing field, a checksum that
        does not fit (of the line, or of the checkpoint where that lies beside the file), a duplicate, a wrong order.

    Raises:
        UserError: There is no such file.
    """
    seen: dict[Hashable, str] = {}
    good, problems = 0, []
    for path in map(Path, paths):
        before = ""
        for line in _read(path):
            place = f"{path}:{line.number}"
            found = list(line.problems)
            if line.record is not None:
                found += _wrong_checkpoint(line.record, path.parent)
                first = seen.setdefault(identity(line.record), place)
                if first != place:
                    found.append(f"a duplicate: {first} is of the same settings, seed, data and weights")
            if line.text < before:
                found.append("out of order: sort the lines as text, as LC_ALL=C sort does")
            before = max(before, line.text)
            good += not found
            problems += [f"{place}: {problem}" for problem in found]
    return good, problems


def is_results(path: Path) -> bool:
    """Tell a results file by its name and its first line."""
    if path.suffix != SUFFIX:
        return False
    try:
        with path.open(encoding="utf-8") as stream:
            return stream.read(len(START)) == START
    except (OSError, ValueError):
        return False


def read_results(path: str | os.PathLike[str]) -> Iterator[tuple[Path, Record | str]]:
    """Yield each line of a results file as its place, ``FILE:LINE``, and its Record, or a sentence where it is bad.

    Raises:
        UserError: The file cannot be read.
    """
    for line in _read(Path(path)):
        place = Path(f"{path}:{line.number}")
        yield place, f"{place}: {line.problems[0]}" if line.problems or line.record is None else line.record


def line_of(record: Record, *, curves: bool = False) -> str:
    """Write a Record as a line, without its end."""
    data = record.model_dump(mode="json", exclude_none=True)
    if not curves:
        data.pop("series", None)
    data.pop("predictions", None)
    source = data.get("provenance", {})
    for key in ("checkpoint", "upstream_checkpoint"):
        if key in source:
            source[key] = Path(source[key]).name
    content = {"run": title_of_line(record), "sha256": checksum(data), "record": data}
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def title_of_line(record: Record) -> str:
    """Say in words what a line holds; the words it is sorted by."""
    method = record.method.name
    if record.method.preset != method:
        method += f" ({record.method.preset})"
    seeds = f"seed {record.seed}" + f" of pretraining seed {record.pretrain_seed}" * (record.stage != "pretrain")
    return f"{record.protocol.name} v{record.protocol.version}, {record.backbone}, {method}, {seeds}"


def checksum(data: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a Record's JSON data, however they are spelled."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


def _read(path: Path) -> list[Line]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise UserError(f"{path} cannot be read: {reason}") from None
    # JSON knows line ends that are none here: only \n ends a line.
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [_parse(number, line) for number, line in enumerate(lines, start=1)]


def _parse(number: int, text: str) -> Line:
    def bad(*problems: str, record: Record | None = None) -> Line:
        return Line(number, text, record, problems)

    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        return bad(f"not valid JSON ({error})")
    if not isinstance(content, dict) or set(content) != set(KEYS):
        return bad(f"an object of {', '.join(KEYS)} is expected")
    try:
        record = record_from(content["record"], "its record")
        found = checksum(content["record"])
    except (UserError, ValueError) as error:
        return bad(str(error))
    problems = list(_lacking(record))
    if found != content["sha256"]:
        problems.append("the checksum does not fit: the Record was changed after it was submitted")
    if content["run"] != title_of_line(record):
        problems.append(f"it is called {content['run']!r}, but is {title_of_line(record)!r}")
    return bad(*problems, record=record)


def _lacking(record: Record) -> list[str]:
    """Return a sentence on the fields that the Record has no value for, if there are any."""
    required: Sequence[str] = REQUIRED
    if record.stage == "pretrain" or record.method.name != "scratch":
        required = (*required, "pretrain_seed")
    if record.stage != "pretrain" and record.method.name != "scratch":
        required = (*required, *REQUIRED_OF_TRANSFER)
    missing = []
    for key in required:
        value: Any = record
        for part in key.split("."):
            value = getattr(value, part)
        if value is None or value in ("", {}):
            missing.append(key)
    return [f"it lacks {', '.join(missing)}"] if missing else []


def _wrong_checkpoint(record: Record, folder: Path) -> list[str]:
    """Compare the checkpoint that the Record names with what lies in a folder; nothing to say where none does."""
    source = record.provenance
    if source.checkpoint is None or source.checkpoint_sha256 is None:
        return []
    # In the folder, whatever the path was on the machine it was made on.
    path = folder / Path(source.checkpoint).name
    try:
        if not path.is_file() or sha256_of(path) == source.checkpoint_sha256:
            return []
    except OSError as error:
        return [f"the checkpoint {path} cannot be read: {error.strerror}"]
    return [f"the checksum does not fit: {path} is not the checkpoint that was evaluated"]
