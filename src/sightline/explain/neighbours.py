"""Show the training images that decided, beside the query, with their distances and votes."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import fonts
from sightline.errors import SightlineError
from sightline.types import Classification

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sightline.estimators.base import Estimator


_METRICS = {"l1": "L1", "l2": "L2"}


class NoNeighboursError(SightlineError):
    """The model does not answer by comparing with training images."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A query, its answer and the training images behind it.

    Parameters
    ----------
    query : uint8 array, shape (H, W, C)
        As the model saw it.
    answer : Classification
    pictures : uint8 array, shape (k, H, W, C)
        The neighbours as stored, nearest first.
    metric : str
        By which the distances are, as a person writes it: L1, L2 or cosine.
    """

    query: NDArray[np.uint8]
    answer: Classification
    pictures: NDArray[np.uint8]
    metric: str = "L2"

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a neighbour: rank, training row, class, distance, share of the vote."""
        near = self.answer.neighbours
        assert near is not None
        return [
            {
                "rank": i + 1,
                "row": int(near.indices[i]),
                "class": self.answer.classes[int(near.labels[i])],
                "distance": float(near.distances[i]),
                "votes": float(near.votes[i]),
            }
            for i in range(len(near.indices))
        ]

    def tied(self) -> list[str]:
        """Return the classes that have as many votes as the answer, it among them; else none."""
        totals: dict[str, float] = {}
        for row in self.rows():
            totals[row["class"]] = totals.get(row["class"], 0.0) + row["votes"]
        most = max(totals.values())
        first = [name for name, votes in totals.items() if np.isclose(votes, most, rtol=1e-9)]
        return first if len(first) > 1 else []

    def tie(self) -> str:
        """Return in words that the vote is tied and what decided, or nothing where it is not."""
        tied = self.tied()
        if not tied:
            return ""
        names = f"{', '.join(tied[:-1])} and {tied[-1]}"
        return (
            f"the vote is tied between {names}: {self.answer.name} is taken, as the nearest "
            "neighbour among them is of it"
        )


def explain(model: Estimator, image: Any) -> Explanation:
    """Find the neighbours that decide about an image.

    Parameters
    ----------
    model : Estimator
        Fitted, of a method that compares (k-NN).
    image : path, PIL image, uint8 array (H, W, C) or uint8 tensor (C, H, W)

    Raises
    ------
    NoNeighboursError
        When the method does not compare.
    DataError
        When the image cannot be read.
    """
    answer = model.predict([image])[0]
    if not isinstance(answer, Classification) or answer.neighbours is None:
        raise NoNeighboursError(f"{model.name} does not compare with training images; knn does")
    fitted = model.fitted_
    if fitted.embed is not None:
        raise NoNeighboursError(f"{model.name} was fitted on features; no pictures are kept in it")
    channels = 1 if fitted.mode == "L" else 3
    stored = model.method_.training_images[answer.neighbours.indices]
    pictures = _visible(stored.reshape(-1, *fitted.size, channels))
    metric = str(getattr(model.method_, "metric", "")) or "L2"
    return Explanation(fitted.prepare(image)[0], answer, pictures, _METRICS.get(metric, metric))


def draw(explanation: Explanation) -> Figure:
    """Draw the query and its neighbours; a green frame marks votes for the answer."""
    rows = explanation.rows()
    columns = min(len(rows), 8)
    lines = -(-len(rows) // columns)
    drawing = fonts.figure(1.5 * (columns + 2), 1.95 * lines + 0.6, dpi=120)
    left, right = drawing.subfigures(1, 2, squeeze=False, width_ratios=[2, columns])[0]
    axes = left.subplots()
    _picture(axes, explanation.query)
    answer = explanation.answer
    axes.set_title(f"query\n{answer.name} {answer.score:.0%}", fontsize=10, weight="bold")
    grid = right.subplots(lines, columns, squeeze=False).ravel()
    for place in grid:
        place.axis("off")
    for place, row, picture in zip(grid, rows, explanation.pictures, strict=False):
        place.axis("on")
        _picture(place, picture)
        agrees = row["class"] == answer.name
        place.set_title(
            f"{row['rank']}. {row['class']}\n{explanation.metric} {row['distance']:.4g}, "
            f"vote {row['votes']:.0%}",
            fontsize=8, color="#00794f" if agrees else "#b3400a",
        )  # fmt: skip
        for spine in place.spines.values():
            spine.set(color="#00794f" if agrees else "#b3400a", linewidth=2)
    if tie := explanation.tie():
        drawing.suptitle(textwrap.fill(tie, int(13 * drawing.get_figwidth())), fontsize=9)
    return drawing


def _picture(axes: Any, pixels: NDArray[np.uint8]) -> None:
    grey = pixels.shape[2] == 1
    shown, colours = (pixels[:, :, 0], "gray") if grey else (pixels, None)
    axes.imshow(shown, cmap=colours, vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])


def _visible(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return pixels that can be shown: scaled ones are spread over 0 to 255."""
    if pixels.dtype == np.uint8:
        return pixels
    low, high = float(pixels.min()), float(pixels.max())
    return ((pixels - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
