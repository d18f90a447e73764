"""What a table is made of: conditions, columns, rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from mixpro_bench.leaderboard.comparison import Gain
from mixpro_bench.leaderboard.ranking import Rank
from mixpro_bench.leaderboard.record import Record
from mixpro_bench.leaderboard.statistics import Summary

# Kinds of columns that are shown with their spread.
SPREAD = ("number", "best")


@dataclass(frozen=True, order=True)
class Conditions:
    """What two Records of a stage must share to be compared."""

    stage: str
    protocol: str
    version: int
    recipe: str
    data: str
    deviations: str = ""

    @property
    def agreed(self) -> str:
        """Stage, protocol and version."""
        return f"{self.stage}: {self.protocol} v{self.version}"

    def __str__(self) -> str:
        parts = [self.agreed]
        parts += [f"recipe {self.recipe[:8]}"] * bool(self.recipe) + [f"data {self.data[:8]}"] * bool(self.data)
        return ", ".join(parts) + f"; off protocol: {self.deviations}" * bool(self.deviations)


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: Name in files and in the row's cells.
        title: Head of the column for people.
        kind: 'text'; 'number', shown with its spread; 'best', the same of each run's best validation, which is never
            ranked; 'cost', shown without spread; 'gain', the difference to the baseline in the column of the same key
            without ``_gain``; or 'interval', over validation images, of the column of the same key without
            ``_images``.
        decimals: Digits shown behind the point.
        detail: 0 is always shown; columns of the highest level are the first to go where there is little room.
        lower: Whether less is better.
    """

    key: str
    title: str
    kind: str = "number"
    decimals: int = 1
    detail: int = 0
    lower: bool = False


@dataclass(frozen=True)
class Interval:
    """A 95 % interval of a number from draws of the validation images.

    Attributes:
        low: Lower end.
        high: Upper end.
        images: How many images there are.
    """

    low: float
    high: float
    images: int


@dataclass(frozen=True)
class Row:
    """One method on one backbone.

    Attributes:
        texts: Text cells by column key.
        cells: Number cells by column key; a key is absent where nothing was measured.
        n: Pretraining seeds behind the row (the most of any cell).
        marks: What a reader must know about the row.
        backbone: Name of the backbone.
        method: Name of the method.
        preset: Name of its preset.
        size: Parameter and FLOP class, empty where nothing is known.
        gains: Paired difference to the baseline by column key; a key is absent where there is nothing to compare.
        rank: Place among the rows of the group, None where there is no rival or only one seed.
        images: Intervals over validation images, by column key; with ``_gain`` behind it, of the difference to the
            baseline.
        records: The Records behind the row.
    """

    texts: dict[str, str]
    cells: dict[str, Summary]
    n: int
    marks: tuple[str, ...] = ()
    backbone: str = ""
    method: str = ""
    preset: str = ""
    size: str = ""
    gains: dict[str, Gain] = field(default_factory=dict)
    rank: Rank | None = None
    images: dict[str, Interval] = field(default_factory=dict)
    records: tuple[Record, ...] = field(default=(), repr=False)

    @property
    def group(self) -> tuple[str, str]:
        """What rows must share to be ranked and compared: size and backbone."""
        return (self.size, self.backbone)


@dataclass(frozen=True)
class Table:
    """Rows that may be compared, and the conditions they share.

    Attributes:
        title: The protocols.
        conditions: One per stage.
        columns: The columns that hold anything.
        rows: Ordered by size and backbone, then by what transfers best.
        notes: Remarks for people.
        baseline: Method that the gains are measured against.
        ranked: Whether its rows may be compared with each other; published numbers may not.
    """

    title: str
    conditions: tuple[Conditions, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    baseline: str | None = None
    ranked: bool = True


def conditions_of(record: Record) -> Conditions:
    """Return what a Record may be compared within."""
    return Conditions(
        record.stage,
        record.protocol.name,
        record.protocol.version,
        record.recipe_hash or "",
        record.provenance.data_fingerprint or "",
        "; ".join(deviations_of(record)),
    )


def deviations_of(record: Record) -> list[str]:
    """Return what a run changed against the protocol it names, sorted; empty if it kept to it or nothing is known."""
    # The Record keeps them without a field of their own.
    return sorted(str(one) for one in (record.model_extra or {}).get("deviations") or ())


def format_cell(row: Row, column: Column) -> str:
    """Write one cell for people: ``71.2 ± 0.8``; a cell of fewer seeds than its row says so; empty if unmeasured."""
    if column.kind == "text":
        return row.texts.get(column.key, "")
    if column.kind == "gain":
        return _format_gain(row, column)
    if column.kind == "interval":
        interval = row.images.get(column.key.removesuffix("_images"))
        return f"[{interval.low:.{column.decimals}f}, {interval.high:.{column.decimals}f}]" if interval else ""
    cell = row.cells.get(column.key)
    if cell is None:
        return ""
    text = f"{cell.mean:.{column.decimals}f}"
    if cell.sd is not None and column.kind in SPREAD:
        text += f" ± {cell.sd:.{column.decimals}f}"
    return text if cell.n == row.n else f"{text} (n={cell.n})"


def _format_gain(row: Row, column: Column) -> str:
    gain = row.gains.get(column.key.removesuffix("_gain"))
    if gain is None:
        return ""
    text = f"{gain.effect:+.{column.decimals}f}"
    if gain.low is None or gain.high is None:
        return f"{text} (n=1)"
    text += f" [{gain.low:+.{column.decimals}f}, {gain.high:+.{column.decimals}f}]"
    return text if gain.p is None else f"{text} p={gain.p:.2g}"
