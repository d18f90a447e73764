"""What a check of data found: counts, and findings of one sentence each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# More names than these are counted only: a set whose every file is bad must not make a report of its size.
NAMES_KEPT = 1000


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or worth knowing.

    Attributes:
        level: ``"error"`` (a run would fail or learn something wrong), ``"warning"`` or ``"note"``.
        code: Short name of the kind, for programs, such as ``"unreadable"``.
        text: One sentence that says what, where and the way out.
        names: The files or classes it is about, at most `NAMES_KEPT`.
    """

    level: str
    code: str
    text: str
    names: tuple[str, ...] = ()


@dataclass
class Report:
    """Collects what a check finds.

    Attributes:
        kind: ``"imagenet"``, ``"coco"`` or ``"ade20k"``.
        root: Folder that was checked.
        counts: Facts per split, such as ``{"train": {"pictures": 7500, "classes": 10}}``.
        findings: In the order in which they were met.
    """

    kind: str
    root: Path
    counts: dict[str, dict[str, int | str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether a run could start: there are no errors."""
        return not any(finding.level == "error" for finding in self.findings)

    def error(self, code: str, text: str, names: Iterable[str] = ()) -> None:
        """Add what a run would fail on, or would learn something wrong from."""
        self._add("error", code, text, names)

    def warning(self, code: str, text: str, names: Iterable[str] = ()) -> None:
        """Add what a run survives but its user should know."""
        self._add("warning", code, text, names)

    def note(self, code: str, text: str, names: Iterable[str] = ()) -> None:
        """Add what is only worth knowing."""
        self._add("note", code, text, names)

    def count(self, split: str, **facts: int | str) -> None:
        """Add facts of a split."""
        self.counts.setdefault(split, {}).update(facts)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as primitives."""
        return {
            "kind": self.kind,
            "root": str(self.root),
            "ok": self.ok,
            "counts": self.counts,
            "findings": [
                {"level": one.level, "code": one.code, "text": one.text, "names": list(one.names)}
                for one in self.findings
            ],
        }

    def _add(self, level: str, code: str, text: str, names: Iterable[str]) -> None:
        self.findings.append(Finding(level, code, text, tuple(str(name) for name in names)[:NAMES_KEPT]))


def some(names: Sequence[str], shown: int = 3) -> str:
    """Name the first few.

    Examples:
        >>> some(["a", "b", "c", "d"], shown=2)
        "'a', 'b' and 2 more"
    """
    text = ", ".join(f"'{name}'" for name in names[:shown])
    return text if len(names) <= shown else f"{text} and {len(names) - shown} more"


def plural(number: int, noun: str) -> str:
    """Count a noun.

    Examples:
        >>> plural(1, "picture"), plural(1234, "picture"), plural(2, "class")
        ('1 picture', '1,234 pictures', '2 classes')
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}{'es' if noun.endswith(('s', 'x')) else 's'}"
