"""Is it right, how sure are we of that, and what does it cost?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)  # see `sightline.tasks`


@dataclass(frozen=True)
class Metrics(Mapping[str, float]):
    """Named figures, one of which is the task's headline.

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
    """

    figures: dict[str, float]
    headline_name: str
    interval: tuple[float, float]
    higher_is_better: bool = True
    n: int = 0

    @property
    def headline(self) -> float:
        """The figure that methods are ranked by."""
        return self.figures[self.headline_name]

    def __getitem__(self, name: str) -> float:
        return self.figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.headline_name} {self.headline:.4f} "
            f"(95% interval {low:.4f} to {high:.4f}, {self.n:,} images)"
        )
