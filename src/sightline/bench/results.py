"""Define the document that ``compare`` writes: stable, versioned, with a JSON schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from sightline.errors import RunError

SCHEMA_VERSION = 1

Model = TypeVar("Model", bound=BaseModel)

Cost = Literal["latency", "size", "training"]
"""What a method may be cheap in: time of one image, bytes on disk, or seconds of training."""

Verdict = Literal["picked", "as good", "may be as good", "worse", "dearer", "untested"]
"""Of another method than the best: it is cheaper and was taken; is cheaper and as good, but not
taken; is cheaper, and more images may show it as good; is cheaper, but worse by the margin or more;
is not cheaper; is cheaper, but there is no test between the two."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore")


class DataEntry(_Document):
    """The data that the methods were compared on."""

    name: str
    task: str
    classes: list[str]
    counts: dict[str, int] = Field(description="Images in each split.")
    fingerprint: str = Field(description="Changes when an image, a label or a split changes.")


class EnvironmentEntry(_Document):
    """The machine and the software of a comparison."""

    device: str
    threads: int
    versions: dict[str, str]
    seed: int


class MethodEntry(_Document):
    """A method's metrics and costs, or why it failed."""

    name: str
    status: Literal["ok", "failed"]
    metric: str | None = Field(None, description="Name of the headline figure.")
    higher_is_better: bool = True
    share: bool = Field(True, description="Whether the headline is a share, in [0, 1].")
    headline: float | None = Field(None, description="On the test split.")
    interval: tuple[float, float] | None = Field(None, description="95%, of the headline.")
    validation: float | None = Field(None, description="Headline figure on validation.")
    metrics: dict[str, float] = Field(default_factory=dict, description="On the test split.")
    remarks: list[str] = Field(
        default_factory=list,
        description="What a reader of the row should know: a training that diverged, that ended "
        "near chance, that had no time. One sentence each.",
    )
    startup_seconds: float | None = Field(
        None, description="Importing and warming libraries, before the clocks of the rest start."
    )
    threads: int | None = Field(None, description="Processor threads that it was given.")
    tune_seconds: float | None = None
    fit_seconds: float | None = None
    latency_ms: float | None = Field(None, description="Median time of one decoded image.")
    latency_spread_ms: float | None = Field(
        None, description="Half the interquartile range of the times that `latency_ms` is from."
    )
    images_per_second: float | None = Field(None, description="In batches of `batch`.")
    batch: int | None = None
    peak_mb: float | None = Field(None, description="Peak resident memory of its process, MiB.")
    parameters: int | None = Field(None, description="Numbers that the fitted method keeps.")
    device: str | None = Field(None, description="What it was computed on.")
    bytes: int | None = Field(None, description="Size of the saved model on disk.")
    error: str | None = Field(None, description="Why it failed.")


class CandidateEntry(_Document):
    """A method other than the best on validation, and how it compares with the best."""

    name: str
    verdict: Verdict = Field(
        description="Cheaper than the best, and: `picked`; `as good` (within the margin) but not "
        "taken; `may be as good`, which more images would tell; `worse` by the margin or more; "
        "`untested`, as there is no paired test. Or `dearer`: not cheaper than the best."
    )
    difference: float | None = Field(
        None, description="Of the headline on validation; positive: better than the best."
    )
    low: float | None = Field(None, description="Lower end of its 95% interval.")
    high: float | None = Field(None, description="Upper end of its 95% interval.")
    images: int | None = Field(None, description="Validation images that both answered.")
    needed: int | None = Field(
        None,
        description="Images in all with which the same rates would put `low` within the margin; "
        "null where no number would.",
    )
    p: float | None = Field(
        None, description="That both err equally often: exact test, Holm-corrected over all."
    )


class AdviceEntry(_Document):
    """A way to a surer figure or a better method."""

    kind: Literal["pretrained features", "more images", "another split"]
    command: str | None = None
    images: int | None = Field(None, description="How many more.")


class GainEntry(_Document):
    """What starting from a network that was trained on ImageNet has brought."""

    name: str = Field(description="Of the best on validation that starts from it.")
    over: str = Field(description="Of the best on validation of those from scratch.")
    figures: tuple[float, float] = Field(description="Their headlines on validation.")


class PickEntry(_Document):
    """The method that was chosen, and why."""

    name: str
    reason: str = Field(description="Why it was chosen: by validation alone.")
    result: str | None = Field(
        None, description="What it gets right on test images, which played no part in the choice."
    )
    sure: str | None = Field(
        None, description="From how many of the others validation tells the best apart."
    )
    apart: int | None = Field(
        None,
        description="How many of the others differ from the best on validation by more than chance "
        "(p below 0.05 after Holm's correction).",
    )
    gain: GainEntry | None = Field(
        None, description="Of pretrained features, where methods with and without were compared."
    )
    advice: list[AdviceEntry] = Field(default_factory=list, description="What would help.")
    margin: float | None = Field(
        None,
        description="By how much a cheaper method may be worse than the best, in the unit of the "
        "headline.",
    )
    cost: Cost | None = Field(None, description="What was to be cheap.")
    best: str | None = Field(None, description="The best on validation.")
    candidates: list[CandidateEntry] = Field(
        default_factory=list, description="The others, the best of them first."
    )


class Results(_Document):
    """The results of a comparison."""

    schema_version: int = SCHEMA_VERSION
    task: str = Field("classify", description="What the methods were asked to do.")
    data: DataEntry
    environment: EnvironmentEntry
    methods: list[MethodEntry]
    pick: PickEntry | None

    @property
    def ok(self) -> list[MethodEntry]:
        """Return the methods that ran to the end."""
        return [m for m in self.methods if m.status == "ok"]


def schema() -> dict[str, Any]:
    """Return the JSON schema of `Results`, as in ``docs/results.schema.json``."""
    document = Results.model_json_schema(mode="serialization")
    document["title"] = "sightline compare: results.json"
    return document


def read(path: Path) -> Results:
    """Read a ``results.json``.

    Raises
    ------
    RunError
        When it is missing or does not follow the schema.
    """
    return read_as(Results, path, "a comparison's results")


def read_as(kind: type[Model], path: Path, what: str) -> Model:
    """Read a JSON file as a document of a kind; `what` names it in the error.

    Raises
    ------
    RunError
        When it is missing or does not follow the schema.
    """
    from pydantic import ValidationError

    from sightline.training import run

    document = run.read_json(path)
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(p) for p in first["loc"])
        raise RunError(f"{path} is not {what} ({place}: {first['msg']})") from None
