"""Parameter and FLOP classes: models of about the same size, which alone may be held against each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mixpro_bench.leaderboard.record import Record

# Bounds four times apart: DeiT's and Swin's tiny, small and base models each fall into a class of their own.
PARAMETERS = (2.5, 10.0, 40.0, 160.0)  # million
MACS = (0.5, 2.0, 8.0, 32.0)  # billion
# Methods bring heads of their own; sizes of one backbone that are this near are the same model.
SAME = 1.5

Size = tuple[float | None, float | None]


def size_class(parameters: float | None, macs: float | None) -> str:
    """Name the class of a model; empty if nothing is known of it.

    Args:
        parameters: Their number.
        macs: Multiply-accumulates of one image.

    Examples:
        >>> size_class(22.1e6, 4.6e9), size_class(86e3, None), size_class(None, None)
        ('10-40 M params, 2-8 GMACs', 'under 2.5 M params', '')
    """
    known = ((parameters, 1e-6, PARAMETERS, "M params"), (macs, 1e-9, MACS, "GMACs"))
    return ", ".join(
        f"{_between(scale * value, bounds)} {unit}" for value, scale, bounds, unit in known if value is not None
    )


class Sizes:
    """The classes of some Records, by backbone.

    A transfer is as large as the pretraining whose weights it loaded, so that a detector's heads do not count; where
    that is not known, it is of its backbone's class if the backbone has but one.

    Args:
        records: The Records.
        made: Pretraining by the SHA-256 of its checkpoint.
    """

    def __init__(self, records: Iterable[Record], made: Mapping[str, Record]) -> None:
        self._made = made
        found: dict[str, set[Size]] = {}
        for record in records:
            size = self._size_of(record)
            if size is not None:
                found.setdefault(record.backbone, set()).add(size)
        self._classes: dict[str, dict[Size, str]] = {}
        for backbone, sizes in found.items():
            classes: dict[Size, str] = {}
            first: Size | None = None
            for size in sorted(sizes, key=_number):
                if first is None or not _same(first, size):
                    first = size
                classes[size] = size_class(*first)
            self._classes[backbone] = classes

    def of(self, record: Record) -> str:
        """Return the class of a Record, empty if it is not known."""
        classes = self._classes.get(record.backbone, {})
        size = self._size_of(record)
        if size is not None:
            return classes[size]
        names = set(classes.values())
        return names.pop() if len(names) == 1 else ""

    def _size_of(self, record: Record) -> Size | None:
        root = record if record.stage == "pretrain" else self._made.get(record.provenance.upstream_sha256 or "")
        if root is None or root.model is None or (root.model.parameters is None and root.model.macs is None):
            return None
        return (root.model.parameters, root.model.macs)


def rank_of(name: str) -> tuple[int, float, str]:
    """Return the place of a class among others: small ones first, what is not known last."""
    if not name:
        return (2, 0.0, "")
    first = name.split()[0]
    if first in ("under", "over"):
        return (0 if first == "under" else 1, 0.0, name)
    return (0, float(first.split("-")[0]), name)


def _between(value: float, bounds: tuple[float, ...]) -> str:
    if value < bounds[0]:
        return f"under {bounds[0]:g}"
    if value >= bounds[-1]:
        return f"over {bounds[-1]:g}"
    place = next(k for k, bound in enumerate(bounds) if value < bound)
    return f"{bounds[place - 1]:g}-{bounds[place]:g}"


def _number(size: Size) -> tuple[float, float]:
    return (size[0] or 0.0, size[1] or 0.0)


def _same(one: Size, other: Size) -> bool:
    """Say whether two sizes are those of one model; a number that one of them lacks says nothing."""
    pairs = ((a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None)
    return all(max(pair) <= SAME * min(pair) for pair in pairs)
