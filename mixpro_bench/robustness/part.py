"""A part: one question asked of a pretrained classifier, with its options, its metrics and its curves."""

from __future__ import annotations

import importlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from mixpro_bench.errors import UserError
from mixpro_bench.robustness.subject import Advance, Subject

# Name of a part -> the module that has it. A module is imported only when its part is asked for.
MODULES = {
    "occlusion": "occlusion",
    "shuffle": "shuffling",
    "calibration": "calibration",
    "corruptions": "corruptions",
    "external": "external",
    "adversarial": "adversarial",
    "knn": "probes",
    "linear": "probes",
    "fewshot": "probes",
}


@dataclass(frozen=True)
class Curve:
    """A metric over something that is varied.

    Attributes:
        x: What was varied, such as the share of occluded patches.
        y: The metric there.
        x_label: Name and unit of x.
        y_label: Name and unit of y.
        sd: Standard deviation over draws, where there were several.
    """

    x: Sequence[float]
    y: Sequence[float]
    x_label: str
    y_label: str
    sd: Sequence[float] | None = None


@dataclass(frozen=True)
class Finding:
    """What a part found.

    Attributes:
        metrics: Finite numbers by name, such as ``occlusion/random/auc``.
        curves: Curves by name.
        notes: What was left out, and why, in sentences.
    """

    metrics: dict[str, float]
    curves: dict[str, Curve] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Part(ABC):
    """One question.

    Attributes:
        name: As on the command line and in Records.
        version: A changed number means a new version: findings of different versions are never compared.
        needs_head: Whether the checkpoint has to bring its classifier along.
        learns: Whether training pictures are looked at too.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    needs_head: ClassVar[bool] = True
    learns: ClassVar[bool] = False

    def options(self) -> dict[str, Any]:
        """Return the options by name; they tell findings apart that must not be compared."""
        return {
            name: getattr(self, name) for name in inspect.signature(type(self).__init__).parameters if name != "self"
        }

    def check(self, subject: Subject) -> None:
        """Refuse, before anything is computed, what cannot work.

        Raises:
            UserError: Naming what is missing.
        """
        if self.needs_head:
            subject.require_head(f"part {self.name}")
        if self.learns:
            subject.training()

    @abstractmethod
    def run(self, subject: Subject, advance: Advance) -> Finding:
        """Measure.

        Args:
            subject: What is measured.
            advance: Told about progress as (passes over images done, in all).
        """


def part_class(name: str) -> type[Part]:
    """Return the class of a part.

    Raises:
        UserError: If there is none of that name.
    """
    if name not in MODULES:
        raise UserError(f"there is no part {name!r}: the parts are {', '.join(MODULES)}")
    module = importlib.import_module(f"mixpro_bench.robustness.{MODULES[name]}")
    return next(
        one
        for _, one in inspect.getmembers(module, inspect.isclass)
        if issubclass(one, Part) and getattr(one, "name", None) == name
    )


def make_part(name: str, options: Mapping[str, Any] | None = None) -> Part:
    """Make a part with its options.

    Raises:
        UserError: If the part or an option is unknown, or an option is out of range.
    """
    cls = part_class(name)
    known = [key for key in inspect.signature(cls.__init__).parameters if key != "self"]
    unknown = sorted(set(options or {}) - set(known))
    if unknown:
        raise UserError(f"part {name} has no option {unknown[0]!r}: it takes {', '.join(known) or 'none'}")
    return cls(**(options or {}))


def options_by_part(told: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Sort options by part.

    Raises:
        UserError: If an option names no part.

    Examples:
        >>> options_by_part({"occlusion.draws": 5, "knn": {"k": 3}})
        {'occlusion': {'draws': 5}, 'knn': {'k': 3}}
    """
    by_part: dict[str, dict[str, Any]] = {}
    for key, value in told.items():
        part, dot, option = key.partition(".")
        if not dot and not isinstance(value, Mapping):
            raise UserError(f"option {key}={value} names no part: write it as occlusion.{key}={value}, for instance")
        by_part.setdefault(part, {}).update({option: value} if dot else value)
    return by_part


class Steps:
    """Progress of several passes as that of one: pass i of n, each over all images."""

    def __init__(self, advance: Advance, passes: int) -> None:
        self.advance, self.passes, self.done = advance, passes, 0

    def __call__(self, done: int, total: int) -> None:
        """Take the progress of the pass that runs."""
        self.advance(self.done * total + done, self.passes * total)
        if done >= total:
            self.done += 1
