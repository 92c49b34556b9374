"""Define the knobs of training a network on a style."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.errors import ParameterError
from sightline.training.recipe import Recipe


@dataclass(frozen=True)
class StyleRecipe(Recipe):
    """The recipe of a network that draws in a style: that of any network, and its loss.

    Parameters
    ----------
    style : str
        The picture whose style is learned.
    alpha : float
        How much the content counts; see `sightline.models.style.optimise`.
    beta : float
        How much the style counts.
    variation : float
        How much neighbouring pixels are to be alike.
    style_size : float
        Size of the style's strokes, as a share of those that it has where its longer side has the
        pixels of a part (`part`).
    part : int
        Pixels a side of the parts of pictures that are learned from.
    network : str
        That pictures are seen through: auto, imagenet:NAME, torchvision:NAME, timm:NAME or a run's
        folder.
    """

    style: str = ""
    alpha: float = 1.0
    beta: float = 5.0
    variation: float = 10.0
    style_size: float = 1.0
    part: int = 256
    network: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_sizes("alpha", "beta", "variation")
        if not self.alpha and not self.beta:
            raise ParameterError("alpha and beta are both 0, so there is nothing to learn")
        if not 0.1 <= self.style_size <= 10:
            raise ParameterError(f"style_size must be from 0.1 to 10, not {self.style_size}")
        if not 32 <= self.part <= 1024:
            raise ParameterError(f"part must be from 32 to 1024 pixels, not {self.part}")
