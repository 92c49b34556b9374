"""Define the knobs of training on the classes of pixels: losses, weights and changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from sightline.errors import ParameterError, UnknownNameError
from sightline.training.recipe import Recipe

Augment = Literal["none", "flip", "scene", "turns"]

LOSSES = ("cross-entropy", "focal", "dice", "lovasz")

AUTO = "auto"

IGNORED_NAMES = frozenset({"void", "unlabelled", "unlabeled", "ignore", "ignored"})
"""What classes are called whose pixels nobody has labelled."""


@dataclass(frozen=True)
class PixelRecipe(Recipe):
    """The recipe of a semantic network's training: that of any network, and what pixels allow.

    Parameters
    ----------
    augment : {"none", "flip", "scene", "turns"}
        Changes of a picture and its classes: none; mirroring left and right; that, a part of it at
        another size, and other brightness, contrast and hue, as for photographs; or that and
        turns, where nothing is up, as under a microscope.
    zoom : float
        How many times as large, or smaller, the parts of scene and turns may be; 1: of one size.
    cut : float
        Share of the network's sides that is learned from at a time, cut out by chance: 1 is the
        whole picture; at 0.5 an image costs a quarter, so that a larger --size can be afforded.
    paste : float
        Chance that an image is given objects of another one, at the places where they are there
        (Ghiasi et al., 2021): connected pixels of a class other than the first.
    loss : str
        cross-entropy, focal, dice or lovasz, or some of them added up: cross-entropy+lovasz.
    class_weights : {"none", "balanced"}
        Of the cross-entropy and focal loss: every pixel counts alike, or those of rare classes
        more (Eigen & Fergus, 2015).
    boundary : float
        How much more a pixel between two objects counts than others at most (U-Net, equation 2,
        w0; 10 in the paper); 0: not at all. Where the data has no objects of their own, connected
        pixels of a class are one.
    ignore : str
        Classes that do not count, separated by commas; auto: those called void, unlabelled or
        ignore; none.
    """

    augment: Augment = "scene"
    zoom: float = 2.0
    cut: float = 1.0
    paste: float = 0.0
    loss: str = "cross-entropy"
    class_weights: Literal["none", "balanced"] = "none"
    boundary: float = 0.0
    ignore: str = AUTO

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.augment not in get_args(Augment):
            raise UnknownNameError("augment", self.augment, get_args(Augment))
        if self.class_weights not in ("none", "balanced"):
            raise UnknownNameError("class_weights", self.class_weights, ("none", "balanced"))
        self.check_sizes("boundary")
        self.check_shares("cut", "paste")
        if not 1 <= self.zoom <= 8:
            raise ParameterError(f"zoom must be from 1 to 8 times, not {self.zoom}")
        if not self.cut:
            raise ParameterError("cut=0 leaves nothing to learn from")
        parts = self.losses
        for part in parts:
            if part not in LOSSES:
                raise UnknownNameError("loss", part, LOSSES)
        if self.boundary and "cross-entropy" not in parts:
            raise ParameterError(f"boundary weighs the cross-entropy, and the loss is {self.loss}")
        if self.class_weights != "none" and not {"cross-entropy", "focal"} & set(parts):
            raise ParameterError(
                f"class_weights are those of cross-entropy and focal, and the loss is {self.loss}"
            )

    @property
    def losses(self) -> tuple[str, ...]:
        """Return the losses that are added up."""
        return tuple(part.strip() for part in self.loss.split("+"))

    def ignored(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        """Return which of the classes do not count.

        Raises
        ------
        UnknownNameError
            When one that is named is no class.
        """
        if self.ignore == AUTO:
            return tuple(name for name in classes if name.lower() in IGNORED_NAMES)
        named = () if self.ignore in ("", "none") else self.ignore.split(",")
        wanted = tuple(name.strip() for name in named)
        for name in wanted:
            if name not in classes:
                raise UnknownNameError("class to ignore", name, classes)
        if len(set(wanted)) == len(classes):
            raise ParameterError(f"ignore={self.ignore} leaves no class to learn")
        return wanted
