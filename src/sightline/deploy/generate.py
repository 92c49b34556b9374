"""Make pictures with an exported generator: from noise, without torch, with the sampler outside.

A decoder's graph maps noise to pictures. A flow's graph is one evaluation of its velocity: who asks
follows the flow, in as many steps as are wished (`models.generate.flow`; here in NumPy, and in the
page in JavaScript). Noise is drawn alike everywhere (`models.generate.noise`).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from sightline.errors import ParameterError, UnknownNameError
from sightline.models.generate.noise import LARGEST_SEED, normal
from sightline.types import Frame, Generated

if TYPE_CHECKING:
    import pyarrow as pa

    from sightline.deploy.runtime import About, Runtime

OUTPUTS = ("made",)

DIFFERENCE = "of a pixel, as a share of the brightest"
"""What `compared` measures the difference of."""

TOLERANCE = MappingProxyType({"fp32": 0.03, "fp16": 0.25})
"""Largest difference from the run that a picture of an export may have, on the mean over pixels of
the picture that differs most."""

ALIKE = 0.01
"""Largest mean difference of pictures that count as alike."""

SCORED = False
"""A made picture has no score: no threshold leaves it out."""

MAKES = "makes pictures of noise, and answers no pictures"
"""Why who asks about pictures is refused; that it is here says that graphs are given noise."""

CHECKED = 8
"""Pictures that an export is checked on."""

CHECKED_ON = f"{CHECKED} made pictures of the same noise"
"""What these are, in words."""

MOST, MOST_STEPS = 64, 200
"""Pictures of one request, and steps of each."""

PREFIX = "data:image/png;base64,"

Sampler = Literal["euler", "heun"]


class Wanted(BaseModel):
    """What is to be made."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    model: str | None = Field(None, description="name of the model; default: the first")
    n: int = Field(16, ge=1, le=MOST, description="pictures")
    seed: int = Field(0, ge=0, le=LARGEST_SEED, description="the same gives the same pictures")
    of_class: str | None = Field(
        None, alias="class", description="of all pictures; default: each class in turn"
    )
    steps: int | None = Field(
        None, ge=1, le=MOST_STEPS, description="of a flow; default: the run's own"
    )
    sampler: Sampler | None = Field(None, description="of a flow; default: the run's own")
    guidance: float | None = Field(
        None, ge=0, le=20, description="of a flow: how far towards the class; 1 is the class alone"
    )


@dataclass(frozen=True)
class Wish:
    """One picture that is wished for: its noise and class, and how a flow is followed."""

    noise: NDArray[np.float32]
    label: int
    steps: int = 0
    sampler: Sampler = "heun"
    guidance: float = 1.0

    @property
    def how(self) -> tuple[int, Sampler, float]:
        """Return what wishes have in common that are granted together."""
        return self.steps, self.sampler, self.guidance


def wishes(about: About, wanted: Wanted) -> list[Wish]:
    """Return the pictures of a request, one by one.

    Raises
    ------
    ParameterError, UnknownNameError
        When the model knows no classes, or not that one, or is no flow and steps are asked for.
    """
    asks = about.asks
    given = {
        name: value
        for name in ("steps", "sampler", "guidance")
        if (value := getattr(wanted, name)) is not None
    }
    if given and asks["kind"] != "flow":
        raise ParameterError(f"{about.method} makes pictures without {', '.join(given)}")
    how = {name: asks[name] for name in ("steps", "sampler", "guidance") if name in asks} | given
    classes = about.classes if asks["classes"] else ()
    if wanted.of_class is not None:
        if not classes:
            raise ParameterError(f"{about.name} knows no classes")
        if wanted.of_class not in classes:
            raise UnknownNameError("class", wanted.of_class, classes)
        labels = [classes.index(wanted.of_class)] * wanted.n
    else:
        labels = [i % max(len(classes), 1) for i in range(wanted.n)]
    noise = normal(wanted.n, asks["latent"], wanted.seed)
    return [Wish(noise[i], labels[i], **how) for i in range(wanted.n)]


def fulfil(runtime: Runtime, asked: Sequence[Wish]) -> list[Generated]:
    """Make the pictures that are wished for; those that are followed alike go together."""
    made: list[Any] = [None] * len(asked)
    for how in dict.fromkeys(wish.how for wish in asked):
        places = [i for i, wish in enumerate(asked) if wish.how == how]
        noise = np.stack([asked[i].noise for i in places])
        labels = np.array([asked[i].label for i in places], np.int64)
        for i, picture in zip(places, make(runtime, noise, labels, *how), strict=True):
            made[i] = Generated(picture[None])
    return made


def make(
    runtime: Runtime, noise: NDArray[np.float32], labels: NDArray[np.int64], steps: int = 0,
    sampler: Sampler = "heun", guidance: float = 1.0,
) -> NDArray[np.uint8]:  # fmt: skip
    """Make pictures, uint8 (N, H, W, C), of noise (N, *latent) and classes (N,)."""
    asks = runtime.about.asks
    known = bool(asks["classes"])
    if asks["kind"] == "decoder":
        feeds: dict[str, NDArray[Any]] = {"noise": noise}
        made: NDArray[np.uint8] = runtime.run(feeds | ({"label": labels} if known else {}))["made"]
        return made
    none = np.full_like(labels, len(runtime.about.classes))

    def velocity(x: NDArray[np.float32], t: float) -> NDArray[np.float32]:
        times = np.full(len(x), t, np.float32)
        if not known or guidance == 1:
            own = {"points": x, "time": times} | ({"label": labels} if known else {})
            return runtime.run(own)["velocity"]
        both = runtime.run({
            "points": np.concatenate([x, x]), "time": np.concatenate([times, times]),
            "label": np.concatenate([labels, none]),
        })["velocity"]  # fmt: skip
        towards, plain = both[: len(x)], both[len(x) :]
        return np.asarray(plain + np.float32(guidance) * (towards - plain), np.float32)

    x, h = noise, 1 / steps
    for i in range(steps):
        v = velocity(x, i * h)
        if sampler == "heun":
            there = velocity(np.asarray(x + np.float32(h) * v, np.float32), (i + 1) * h)
            v = np.asarray((v + there) / 2, np.float32)
        x = np.asarray(x + np.float32(h) * v, np.float32)
    centre, spread = asks["pixels"]
    pixels = np.rint((x * spread + centre) * 255).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))


def check_graph(runtime: Runtime) -> None:
    """Make a picture, as a graph's first proof; what fails is an error of any kind."""
    about = runtime.about
    latent = tuple(int(side) for side in about.asks["latent"])
    made = make(
        runtime, np.zeros((1, *latent), np.float32), np.zeros(1, np.int64),
        *((1, "euler", 1.0) if about.asks["kind"] == "flow" else ()),
    )  # fmt: skip
    if made.shape != (1, *about.size, about.channels):
        raise ValueError(f"it makes pictures of shape {made.shape[1:]}")


def compared(run: Any, runtime: Runtime) -> tuple[float, float]:
    """Compare a file's pictures with its run's, of the same noise.

    Returns
    -------
    largest, alike : float
        Largest mean difference of a picture, and share of pictures that are alike.
    """
    about = runtime.about
    asked = wishes(about, Wanted(n=CHECKED, seed=1))
    got = fulfil(runtime, asked)
    said = run.generate(CHECKED, seed=1)
    off = [
        float(np.abs(a.images[0].astype(int) - b).mean()) / 255
        for a, b in zip(got, said, strict=True)
    ]
    return max(off), float(np.mean([one <= ALIKE for one in off]))


def decode(
    outputs: Mapping[str, NDArray[Any]], about: About, frames: Sequence[Frame]
) -> list[Generated]:
    """Return the pictures of a decoder's outputs."""
    return [Generated(made[None]) for made in outputs["made"]]


def agreement(said: Sequence[Generated], got: Sequence[Generated]) -> tuple[float, float]:
    """Return the largest mean difference of pictures, and the share of alike ones."""
    off = [
        float(np.abs(a.images.astype(int) - b.images.astype(int)).mean()) / 255
        for a, b in zip(said, got, strict=True)
    ]
    return max(off, default=0.0), float(np.mean([one <= ALIKE for one in off])) if off else 1.0


class Answer(BaseModel):
    """A made picture."""

    size: tuple[int, int] = Field(description="height and width in pixels")
    picture: str = Field(description="the picture as a PNG in a data URI")


EXAMPLE = MappingProxyType({"size": [28, 28], "picture": f"{PREFIX}iVBORw0KGgo="})
"""An answer, for the documentation of the server."""


def document(
    answer: Generated, *, top: int = 5, threshold: float | Sequence[float] = 0.0
) -> Answer:
    """Return a picture as the JSON model that the server and the command line share.

    Parameters
    ----------
    answer : Generated
        One picture.
    top, threshold
        Not looked at: there is one picture, and it has no score.
    """
    from sightline.data import images

    pixels = answer.images[0]
    coded = base64.b64encode(images.png(pixels)).decode()
    return Answer(size=(pixels.shape[0], pixels.shape[1]), picture=PREFIX + coded)


def columns() -> list[tuple[str, pa.DataType]]:
    """Return the names and types of the columns of pictures in a table."""
    import pyarrow as pa

    return [("height", pa.int32()), ("width", pa.int32()), ("picture", pa.binary())]


def row(answer: Answer) -> dict[str, Any]:
    """Return a picture as a row of a table; ``picture`` is a PNG."""
    height, width = answer.size
    coded = base64.b64decode(answer.picture.removeprefix(PREFIX))
    return {"height": height, "width": width, "picture": coded}
