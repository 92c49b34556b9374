"""Hold what `predict` asks of a model, for pictures and for frames of videos alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sightline import tasks
from sightline.data import images

if TYPE_CHECKING:
    from PIL import Image

    from sightline.deploy.runtime import Runtime
    from sightline.deploy.units import PixelSize
    from sightline.estimators.base import Estimator
    from sightline.types import Prediction, Progress


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """What answers, and what is asked of it.

    Parameters
    ----------
    model : Estimator or Runtime
    task : str
    top : int
    limit : callable
        Says below which score an answer is none of the classes.
    tile : int
        Pixels a side; 0: pictures are looked at as a whole.
    kinds : sequence of str
        Formats of files beside the pictures.
    scale : PixelSize, optional
        Areas in those files are told in its unit, too.
    """

    model: Estimator | Runtime
    task: str
    top: int
    limit: Callable[[Prediction], Any]
    tile: int = 0
    kinds: Sequence[str] = ()
    scale: PixelSize | None = None

    @property
    def draw(self) -> ModuleType:
        """Return the module that draws the task's answers."""
        return tasks.module("report", self.task)

    @property
    def says(self) -> ModuleType:
        """Return the module that writes the task's answers."""
        return tasks.module("deploy", self.task)

    def of(
        self, pictures: list[Image.Image], progress: Progress | None = None
    ) -> Sequence[Prediction]:
        """Answer for pictures, tile by tile where that is asked for.

        Parameters
        ----------
        pictures : list of PIL image
        progress : callable, optional
            Called with (tiles done, tiles in all) of each picture.
        """
        if not self.tile:
            return self.model.predict(pictures)
        tiled = self.says.tiled
        return [tiled(self.model.predict, picture, self.tile, progress) for picture in pictures]

    def page(self, answer: Prediction) -> dict[str, Any]:
        """Return an answer as JSON."""
        told = self.says.document(answer, top=self.top, threshold=self.limit(answer))
        page: dict[str, Any] = told.model_dump(exclude_none=True)
        return page

    def drawn(self, picture: Image.Image, answer: Prediction) -> Image.Image:
        """Draw an answer on its picture."""
        pixels = images.to_mode(picture, "RGB")
        drawn: Image.Image = self.draw.annotate(
            pixels, answer, top=self.top, threshold=self.limit(answer)
        )
        return drawn
