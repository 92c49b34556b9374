"""Measure how right answers are, how sure that is, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pkgutil import extend_path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted

__path__ = extend_path(__path__, __name__)  # see `sightline.tasks`


@dataclass(frozen=True)
class Metrics(Mapping[str, float]):
    """Figures by name, one of which is the task's headline.

    Parameters
    ----------
    figures : dict of str to float
    headline_name : str
        Key of the figure that methods are ranked by.
    interval : (low, high)
        95% interval of the headline.
    higher_is_better : bool
    n : int
        Number of images measured on.
    share : bool
        Whether the headline is a share, in [0, 1], and so is printed in per cent.
    """

    figures: dict[str, float]
    headline_name: str
    interval: tuple[float, float]
    higher_is_better: bool = True
    n: int = 0
    share: bool = True

    @property
    def headline(self) -> float:
        """Return the figure that methods are ranked by."""
        return self.figures[self.headline_name]

    def __getitem__(self, name: str) -> float:
        return self.figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)

    def __repr__(self) -> str:
        return f"Metrics({self})"

    def _repr_html_(self) -> str:
        from sightline.data import notebook

        return (
            notebook.table(
                ("metric", "value", "95% interval"),
                [
                    (
                        name.replace("_", " "),
                        f"{value:.4f}",
                        f"{self.interval[0]:.4f} to {self.interval[1]:.4f}"
                        if name == self.headline_name
                        else "",
                    )
                    for name, value in self.figures.items()
                ],
            )
            + f"<p>{self.n:,} images</p>"
        )

    def to_frame(self) -> Any:
        """Return the figures as a `pandas.DataFrame`.

        Returns
        -------
        pandas.DataFrame
            A row a figure, by its name: ``value``, and of the headline ``low`` and ``high``, the
            ends of its 95% interval.

        Raises
        ------
        MissingExtraError
            When pandas is not installed.
        """
        from sightline.data import notebook

        pandas = notebook.pandas("a data frame of metrics")
        main = [name == self.headline_name for name in self.figures]
        low, high = ([end if is_main else math.nan for is_main in main] for end in self.interval)
        index = pandas.Index(list(self.figures), name="metric")
        return pandas.DataFrame(
            {"value": list(self.figures.values()), "low": low, "high": high}, index=index
        )

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.headline_name} {self.headline:.4f} "
            f"(95% interval {low:.4f} to {high:.4f}, {counted(self.n, 'image')})"
        )


def figure_text(value: float | None, share: bool, digits: int = 2) -> str:
    """Return a figure as text: a share in per cent, else as a number.

    Examples
    --------
    >>> figure_text(0.9873, True), figure_text(12.3456, False)
    ('98.73%', '12.35')
    """
    if value is None:
        return "-"
    return f"{100 * value:.{digits}f}%" if share else f"{value:.4g}"


class Evaluation(Protocol):
    """Interface of the measured answers on a split: each ``metrics/<task>.py`` has a class like it.

    Its module also has ``differ(best, other, margin)``, the paired test of two evaluations on the
    same images (`sightline.metrics.paired`), or None where the task has none.

    Attributes
    ----------
    metrics : Metrics
    rows : int64 array, shape (N,)
        Rows of the data's source, to find the images again.
    remarks : sequence of str
        What a reader of the metrics should know: that they are no better than guessing.
    beside : mapping of str to str
        Metrics to be read beside the headline on these images, each with the reason.
    """

    @property
    def metrics(self) -> Metrics:
        """Return the metrics of the answers."""

    @property
    def rows(self) -> NDArray[np.int64]:
        """Return the images' rows in the data's source."""

    @property
    def remarks(self) -> Sequence[str]:
        """Return what a reader of the metrics should know."""

    @property
    def beside(self) -> Mapping[str, str]:
        """Return the metrics to be read beside the headline, each with the reason."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a comparison saves; `restored` takes them back."""

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make an evaluation of what `arrays` returned."""
