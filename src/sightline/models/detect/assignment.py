"""Hold which anchors answer for which objects of an image, and why an object has few or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sightline.counting import counted


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which anchors of an image are to answer for which of its objects.

    A network says it by its method ``assignment(images, target)``.

    Parameters
    ----------
    anchors : float Tensor, shape (A, 4)
        xyxy in pixels of the network's image: default boxes, or cells of a grid.
    places : int64 Tensor, shape (A,)
        Which of `groups` each belongs to.
    groups : tuple of str
        Names of the maps.
    overlaps : float Tensor, shape (G, A)
        IoU of objects and anchors.
    assigned : int64 Tensor, shape (A,)
        The object of each anchor; negative: none.
    reasons : tuple of str, length G
        Why an object has no anchor, or fewer than would overlap it; "": there is nothing to say.
    called : str
        What an anchor is here, such as "default box".
    """

    anchors: Tensor
    places: Tensor
    groups: tuple[str, ...]
    overlaps: Tensor
    assigned: Tensor
    reasons: tuple[str, ...]
    called: str = "default box"

    def count(self, row: int) -> int:
        """Return how many anchors answer for an object."""
        return int((self.assigned == row).sum())

    def best(self, row: int) -> tuple[float, int]:
        """Return the largest overlap of an object with any anchor, and that anchor."""
        value, anchor = self.overlaps[row].max(0)
        return float(value), int(anchor)


def places_of(counts: Sequence[int]) -> Tensor:
    """Return of every anchor the number of its map, shape (A,).

    Parameters
    ----------
    counts : sequence of int
        Anchors of each map.
    """
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


def among_all(assigned: Tensor, area: Tensor) -> Tensor:
    """Return the object of each anchor by its number among all objects.

    Parameters
    ----------
    assigned : int64 Tensor, shape (A,)
        By its number among the objects that have an area, as they alone teach; negative: none.
    area : bool Tensor, shape (G,)
        Which objects have one.
    """
    made, known = assigned.clone(), assigned >= 0
    made[known] = torch.nonzero(area).flatten()[assigned[known]]
    return made


def reasons(overlaps: Tensor, assigned: Tensor, threshold: float, area: Tensor) -> tuple[str, ...]:
    """Say why objects have no or few of the anchors that overlap them by a threshold.

    Parameters
    ----------
    overlaps : float Tensor, shape (G, A)
    assigned : int64 Tensor, shape (A,)
    threshold : float
        From which on an anchor takes an object.
    area : bool Tensor, shape (G,)
        Which objects have one.
    """
    said = []
    for row, own in enumerate(overlaps):
        mine = assigned == row
        near = own >= threshold
        lost = near & ~mine
        best = float(own.max()) if len(own) else 0.0
        if not bool(area[row]):
            said.append("it has no area, so that it teaches nothing")
        elif not bool(mine.any()) and best <= 0:
            said.append("no anchor meets it")
        elif not bool(mine.any()):
            others = _others(assigned[near | (own == own.max())])
            said.append(f"those that overlap it most answer for {others}")
        elif not bool((mine & near).any()):
            said.append(
                f"none overlaps it by {threshold:g}: it has its best one alone, at {best:.2f}"
            )
        elif bool(lost.any()):
            one = int(lost.sum()) == 1
            said.append(
                counted(
                    int(lost.sum()), "other overlaps it enough, but answers for ",
                    "others overlap it enough, but answer for ",
                )
                + f"{_others(assigned[lost])}, which {'it' if one else 'they'} "
                f"overlap{'s' * one} more"
            )  # fmt: skip
        else:
            said.append("")
    return tuple(said)


def _others(rows: Tensor) -> str:
    """Return objects by their number, from 1."""
    numbers = sorted({int(row) + 1 for row in torch.unique(rows) if int(row) >= 0})
    names = ", ".join(map(str, numbers)) or "none"
    return f"object{'s' * (len(numbers) > 1)} {names}"
