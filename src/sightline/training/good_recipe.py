"""Define the knobs of training a network on good pictures alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from sightline.errors import ParameterError
from sightline.training.labelled_recipe import LabelledRecipe
from sightline.training.recipe import Recipe


@dataclass(frozen=True)
class GoodRecipe(Recipe):
    """The recipe of a network that learns what good pictures look like.

    Parameters
    ----------
    false_alarms : float
        Share of good pictures that may be called odd; the threshold is set by held-back ones.
    """

    false_alarms: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.false_alarms < 1:
            raise ParameterError(
                f"false_alarms is a rate between 0 and 1, not {self.false_alarms:g}"
            )

    @property
    def unchanged(self) -> LabelledRecipe:
        """Return the recipe of a feed that leaves pictures as they are."""
        shared = {f.name: getattr(self, f.name) for f in dataclasses.fields(Recipe)}
        return LabelledRecipe(**shared, flip="none", stream="off")
