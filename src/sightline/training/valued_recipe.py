"""Define the knobs of training with a number an image."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.errors import ParameterError
from sightline.training.labelled_recipe import LabelledRecipe


@dataclass(frozen=True)
class ValuedRecipe(LabelledRecipe):
    """The recipe of a network that says a number: that of a classifier, but for its labels.

    Parameters
    ----------
    coverage : float
        Share of new images whose number the interval is to hold.
    """

    coverage: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.coverage < 1:
            raise ParameterError(f"coverage is a share between 0 and 1, not {self.coverage:g}")
