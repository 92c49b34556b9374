"""Define the knobs of training with one label an image: changes of images, weights of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from sightline.errors import ParameterError
from sightline.training.recipe import Recipe

Flip = Literal["auto", "none", "random", "alternate"]
Tta = Literal["none", "flip", "multi-crop"]
Stream = Literal["auto", "on", "off"]


@dataclass(frozen=True)
class LabelledRecipe(Recipe):
    """The recipe of a classifier's training: that of any network, and what labelled images allow.

    Parameters
    ----------
    stream : {"auto", "on", "off"}
        Read pictures anew in every epoch, and learn from random cuts of their own pixels, instead
        of packing all of them at one size on the disk first. auto does so where the packed ones
        would take more than a quarter of the free disk; small images of one size it always packs,
        which is faster. The cuts take the place of `shift`.
    crop_area : float
        Least share of a picture's area that a cut of `stream` shows, at a ratio of width to height
        between 3:4 and 4:3; validation and answers see its middle, as without.
    shift : int
        Pixels by which images are moved at random, the edge reflected.
    flip : {"auto", "none", "random", "alternate"}
        Mirroring left and right: at random, or each image every other epoch; auto alternates
        colour images and leaves grey ones.
    cutout : int
        Side in pixels of a square that is greyed out at a random place; 0: none.
    erase : float
        Chance that a rectangle of random size is greyed out.
    mixup : float
        Alpha of the mixing of two images and their labels; 0: none.
    cutmix : float
        Alpha of the pasting of a part of one image into another; 0: none.
    smoothing : float
        Label smoothing: probability that is spread over all classes.
    balance : {"none", "weights", "sampling"}
        For unequal classes: weigh the loss, or draw rare classes more often.
    head_first : bool
        Fit the last layer alone before anything else is learned, by logistic regression on what the
        network sees in up to 4,096 images: else its first steps, by chance, would spoil what the
        other layers know (Kumar et al., Fine-tuning can distort pretrained features, 2022).
    tta : {"none", "flip", "multi-crop"}
        Answer with the mean over several views of an image: it and its mirror image; or those
        and two shifts by a pixel, mirrored too.
    """

    stream: Stream = "auto"
    crop_area: float = 0.35
    shift: int = 0
    flip: Flip = "auto"
    cutout: int = 0
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    smoothing: float = 0.0
    balance: Literal["none", "weights", "sampling"] = "none"
    head_first: bool = False
    tta: Tta = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_shares("smoothing", "erase")
        self.check_sizes("shift", "cutout", "mixup", "cutmix")
        if not 0 < self.crop_area <= 1:
            raise ParameterError(f"crop_area must be between 0 and 1, not {self.crop_area}")
        if self.stream not in get_args(Stream):
            raise ParameterError(f"stream must be auto, on or off, not {self.stream!r}")
