"""Say what kinds of entries the configuration of a run has, so that a damaged one is refused."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, model_validator

from sightline.data.images import Mode, Resize
from sightline.data.transforms import Scale, Views

_Side = Annotated[StrictInt, Field(ge=1, le=30_000)]


class _Entries(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class Frozen(_Entries):
    """The trained network whose features a method sees."""

    model: Annotated[StrictStr, Field(min_length=1)]
    layers: list[StrictStr]
    views: Views
    enlarge: Annotated[StrictInt, Field(ge=0, le=1024)]


class Preparation(_Entries):
    """How images are brought to the model."""

    size: tuple[_Side, _Side] = Field(strict=False)
    mode: Mode
    resize: Resize
    scale: Scale
    features: StrictStr = ""
    views: Views = "one"
    backbone: StrictStr | Frozen | None = None


class Configuration(_Entries):
    """What a run needs to be read; it may say more."""

    format: StrictInt
    task: StrictStr
    model: Annotated[StrictStr, Field(min_length=1)]
    options: dict[StrictStr, Any]
    preprocess: Preparation
    classes: list[StrictStr]
    thresholds: list[float] = []
    seed: StrictInt
    data: dict[StrictStr, Any] | None = None
    environment: dict[StrictStr, Any] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class is there twice")
        if self.thresholds and len(self.thresholds) != len(self.classes):
            raise ValueError("thresholds are not one a class")
        return self
