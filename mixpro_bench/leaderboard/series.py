"""A curve of a run, thin enough to be kept in its Record."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt, model_validator

MAX_POINTS = 100

Axis = Literal["epoch", "iter"]


class Series(BaseModel):
    """Values over the course of a run.

    Attributes:
        axis: What ``at`` counts: finished epochs or finished iterations.
        at: Where the values lie, rising.
        values: One value for each; None where it was no finite number.
    """

    model_config = ConfigDict(extra="allow", validate_assignment=True)

    axis: Axis
    at: Annotated[list[NonNegativeInt], Field(max_length=MAX_POINTS)]
    values: Annotated[list[FiniteFloat | None], Field(max_length=MAX_POINTS)]

    @model_validator(mode="after")
    def _fits(self) -> Series:
        if len(self.at) != len(self.values):
            raise ValueError(f"there are {len(self.at)} places for {len(self.values)} values")
        if sorted(set(self.at)) != self.at:
            raise ValueError("the places must rise")
        return self


def thinned(count: int, most: int = MAX_POINTS) -> list[int]:
    """Return which of ``count`` points to keep: at most ``most``, evenly spread, the first and the last among them.

    Examples:
        >>> thinned(3), thinned(9, 5)
        ([0, 1, 2], [0, 2, 4, 6, 8])
    """
    if count <= most:
        return list(range(count))
    return [round(k * (count - 1) / (most - 1)) for k in range(most)]
