"""Define the document that ``curve`` writes: stable, versioned, with a JSON schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sightline.bench.results import DataEntry, EnvironmentEntry, read_as

SCHEMA_VERSION = 1


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore")


class FitEntry(_Document):
    """One fit: a method on one draw of a size."""

    draw: int = Field(description="From 0; draws of one number are nested in each other.")
    images: int = Field(description="Training images that it learned from.")
    validation: int = Field(description="Validation images that it was tuned on.")
    status: Literal["ok", "failed"]
    figure: float | None = Field(None, description="Headline on the whole test split.")
    seconds: float | None = Field(None, description="Of tuning and fitting.")
    error: str | None = Field(None, description="Why it failed.")


class PointEntry(_Document):
    """All fits of a method on one number of training images."""

    size: int = Field(description="That was asked for.")
    images: float = Field(description="Mean over the fits; groups are never parted.")
    mean: float | None = Field(None, description="Of the headline, over the fits that ended.")
    deviation: float | None = Field(
        None, description="Standard deviation over the fits; null of a single one."
    )
    low: float | None = Field(None, description="The lowest headline.")
    high: float | None = Field(None, description="The highest headline.")
    fits: list[FitEntry]


class AheadEntry(_Document):
    """What a number of images that was not measured would bring: an extrapolation."""

    images: float
    figure: float
    low: float = Field(description="Lower end of the 95% band.")
    high: float = Field(description="Upper end of the 95% band.")


class GainEntry(AheadEntry):
    """How much better a method would become with more images: an extrapolation."""

    factor: int = Field(description="Of the largest size that was measured.")
    gain: float = Field(description="Of the headline; positive: better.")
    gain_low: float = Field(description="Lower end of its 95% interval.")
    gain_high: float = Field(description="Upper end of its 95% interval.")


class TrendEntry(_Document):
    """The power law of a method: what it gets wrong with n images is a + b n^-c.

    Of a share what is wrong is 1 minus the headline, or the headline where less is better; of other
    headlines where more is better it is minus the headline.
    """

    a: float
    b: float
    c: float
    since: float = Field(description="Images from which on the curve follows the law.")
    gains: list[GainEntry]
    curve: list[AheadEntry] = Field(
        description="What the law adds to the last measured mean, up to ten times the images."
    )


class CurveEntry(_Document):
    """The learning curve of a method."""

    name: str
    points: list[PointEntry]
    trend: TrendEntry | None = None
    untold: str | None = Field(None, description="Why there is no trend.")

    @property
    def measured(self) -> list[PointEntry]:
        """Return the points that at least one fit reached."""
        return [point for point in self.points if point.mean is not None]

    @property
    def failed(self) -> list[FitEntry]:
        """Return the fits that failed."""
        return [fit for point in self.points for fit in point.fits if fit.status == "failed"]


class LeadEntry(_Document):
    """From which size on a method was the best, as measured."""

    method: str
    size: int


class PassEntry(_Document):
    """Where a method would get ahead of the best: an extrapolation."""

    method: str
    over: str
    images: int


class CurveResults(_Document):
    """The results of learning curves."""

    schema_version: int = SCHEMA_VERSION
    task: str
    data: DataEntry
    environment: EnvironmentEntry
    metric: str | None = Field(None, description="Name of the headline figure.")
    higher_is_better: bool = True
    share: bool = Field(True, description="Whether the headline is a share, in [0, 1].")
    sizes: list[int] = Field(description="Numbers of training images, the smallest first.")
    seeds: int = Field(description="Draws of each size.")
    tested: int = Field(description="Test images: every fit is measured on all of them.")
    methods: list[CurveEntry]
    leads: list[LeadEntry] = Field(
        default_factory=list, description="Which method was the best from which size on."
    )
    passes: list[PassEntry] = Field(
        default_factory=list, description="Which would get ahead of the best within ten times."
    )

    def named(self, name: str) -> CurveEntry:
        """Return the curve of a method."""
        return next(method for method in self.methods if method.name == name)


def schema() -> dict[str, Any]:
    """Return the JSON schema of `CurveResults`, as in ``docs/curve.schema.json``."""
    document = CurveResults.model_json_schema(mode="serialization")
    document["title"] = "sightline curve: results.json"
    return document


def read(path: Path) -> CurveResults:
    """Read the ``results.json`` of learning curves.

    Raises
    ------
    RunError
        When it is missing or does not follow the schema.
    """
    return read_as(CurveResults, path, "the results of learning curves")
