"""Describe a method without importing it."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from sightline.models import licences

SMALL = 64
"""Pixels a side up to which networks take their small-image form."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model card: what there is to know of a method without importing it.

    Parameters
    ----------
    name : str
    task : str
        Such as ``Task.CLASSIFY``.
    entry : str
        ``"module:attribute"``. Classic: of its class; the parameters of its ``__init__`` are
        the method's knobs, and so its command-line options. Module: of the function that
        builds the network; its knobs are those of a training recipe.
    summary : str
        One line for tables.
    paper : str
    chapter : int
        Of the textbook; see ``docs/chapters.md``.
    input : str
        What it sees of an image.
    grid : mapping of str to tuple
        Values that tuning tries, by knob.
    sweep : str, optional
        ``"module:function"`` that evaluates the whole grid at once, where that shares
        work; see `sightline.models.classic.knn.sweep`.
    largest_side : int
        Images larger than this are scaled down to it unless a size is asked for.
    side : int
        Pixels a side that it takes, whatever the images have; 0: it takes what they have.
    step : int
        Such a network takes images in the proportions of the pictures, sides multiples of this;
        0: squares, where the pictures' own size is not taken.
    kind : {"classic", "module"}
        A class on arrays with scikit-learn's contract, or a ``torch.nn.Module``.
    scale, resize : str
        Defaults of the preprocessing knobs `scale` and `resize`.
    smallest_side : int
        Images smaller than this are too small for it.
    recipe, recipe_large : mapping
        What its training recipe has other than the default, for images of at most
        `SMALL` pixels a side and for larger ones.
    costly : bool
        Takes hours on a processor: `compare` leaves it out there, unless it is named or there
        is a budget.
    quick : int
        Training images up to which a costly method is none.
    features, views : str
        Defaults of the preprocessing knobs of these names.
    pretrained : str
        Network of the registry whose published weights it can start from, where it has another
        name.
    weights : tuple of str
        Names of published weights.
    licence, origin : str
        Of published weights: on what terms, and where they come from.
    code : str
        Licence of the code that builds it.
    parameters : int, optional
        Weights of the published form: that of the builder's defaults.
    shape : (channels, height, width), optional
        Images that the published form takes.
    rung : bool
        Whether `compare` runs it when no method is named.
    arguments : mapping
        What the builder is called with besides the classes, the channels and the size.
    """

    name: str
    task: str
    entry: str
    summary: str
    paper: str
    chapter: int
    input: str = "pixels as given"
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: MappingProxyType({}))
    sweep: str | None = None
    largest_side: int = 32
    side: int = 0
    step: int = 0
    kind: Literal["classic", "module"] = "classic"
    scale: str = "none"
    resize: str = "crop"
    smallest_side: int = 1
    recipe: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    recipe_large: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    costly: bool = False
    quick: int = 0
    features: str = ""
    views: str = "one"
    pretrained: str = ""
    weights: tuple[str, ...] = ()
    licence: str = ""
    origin: str = ""
    code: str = licences.OURS
    parameters: int | None = None
    shape: tuple[int, int, int] | None = None
    rung: bool = True
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def starts_from(self) -> str:
        """Return the network whose weights it starts from unless told otherwise; ``""``: none."""
        own = {recipe.get("weights", "none") for recipe in (self.recipe, self.recipe_large)}
        return self.pretrained if self.features or own - {"none"} else ""

    def load(self) -> type[Any]:
        """Import the method's class."""
        return typing.cast("type[Any]", resolve(self.entry))

    def built_with(self, shape: tuple[int, int, int]) -> dict[str, Any]:
        """Return the builder's arguments for images of a shape (channels, height, width).

        Channels, the side and whether the form is the small one are given if it knows them.
        """
        channels, height, width = shape
        knows = inspect.signature(resolve(self.entry)).parameters
        offered = {
            "in_channels": channels, "small": max(height, width) <= SMALL, "side": (height, width)
        }  # fmt: skip
        return dict(self.arguments) | {k: v for k, v in offered.items() if k in knows}


def resolve(entry: str) -> Any:
    """Import what ``"module:attribute"`` names."""
    module, _, attribute = entry.partition(":")
    return getattr(importlib.import_module(module), attribute)
