"""Define the knobs of training on images with masks of objects: how they are changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from sightline.errors import ParameterError, UnknownNameError
from sightline.training.recipe import Recipe

Augment = Literal["none", "flip", "cut", "cells"]


@dataclass(frozen=True)
class MaskedRecipe(Recipe):
    """The recipe of a training on masks of objects: that of any network, and what masks allow.

    Parameters
    ----------
    augment : {"none", "flip", "cut", "cells"}
        Changes of a picture and its masks: none; mirroring left and right; cut: that, other
        brightness, contrast and hue, and a part of the picture at another scale; or cells: that,
        and mirroring up and down and quarter turns, as where a picture has no upper side.
    cut : float
        Share of the network's sides that is learned from at a time, cut out by chance: 1 is the
        whole picture; at 0.5 an image costs a quarter, so that a larger --size can be afforded.
    """

    augment: Augment = "cut"
    cut: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.augment not in get_args(Augment):
            raise UnknownNameError("augment", self.augment, get_args(Augment))
        self.check_shares("cut")
        if not self.cut:
            raise ParameterError("cut=0 leaves nothing to learn from")
