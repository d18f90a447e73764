"""A metric over something that was varied after training, such as the share of occluded cells."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeFloat, model_validator

MAX_POINTS = 100


class Response(BaseModel):
    """Values of a metric where something is varied.

    Attributes:
        x: What was varied.
        y: The metric there.
        x_label: Name and unit of x.
        y_label: Name and unit of y.
        sd: Standard deviation over draws, where there were several.
    """

    model_config = ConfigDict(extra="allow", validate_assignment=True)

    x: Annotated[list[FiniteFloat], Field(max_length=MAX_POINTS)]
    y: Annotated[list[FiniteFloat], Field(max_length=MAX_POINTS)]
    x_label: str
    y_label: str
    sd: Annotated[list[NonNegativeFloat], Field(max_length=MAX_POINTS)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Response:
        for name, values in (("y", self.y), ("sd", self.sd)):
            if values is not None and len(values) != len(self.x):
                raise ValueError(f"there are {len(self.x)} places for {len(values)} values of {name}")
        return self
