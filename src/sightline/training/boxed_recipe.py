"""Define the knobs of training on images with boxes: how they are changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from sightline.errors import UnknownNameError
from sightline.training.recipe import Recipe

Augment = Literal["none", "flip", "ssd", "mosaic"]

LEAST = 1.0
"""Pixels of the network's image below which the rest of a box teaches nothing."""


@dataclass(frozen=True)
class BoxedRecipe(Recipe):
    """The recipe of a detector's training: that of any network, and what boxes allow.

    Parameters
    ----------
    augment : {"none", "flip", "ssd", "mosaic"}
        Changes of a picture and its boxes: none; mirroring left and right; or that and those of
        SSD (Liu et al., 2016, section 3.6): other brightness, contrast and hue, the picture on a
        larger sheet, which makes objects small, and a cut that keeps an object in part or whole.
        mosaic: other brightness, contrast and hue, mirroring, and four pictures put together
        (YOLOX, Ge et al., 2021).
    closing : float
        Share of the epochs, the last ones, in which pictures are not put together any more, as no
        picture that the network will be asked about is.
    multi_scale : float
        Share by which the sides of a batch may differ from the network's, before those last epochs;
        multiples of 32.
    """

    augment: Augment = "ssd"
    closing: float = 0.15
    multi_scale: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.augment not in get_args(Augment):
            raise UnknownNameError("augment", self.augment, get_args(Augment))
        self.check_shares("closing", "multi_scale")
