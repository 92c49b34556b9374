"""Detect overfitting in a training history, and when it began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

RISE = 0.05
"""Share by which the validation loss must climb above its best."""
GAP = 0.05
"""Gap of the accuracies (training less validation) that is overfitting by itself."""
LAST = 3
"""Epochs at the end over which figures are averaged, as one epoch is noise."""


@dataclass(frozen=True, slots=True)
class Overfitting:
    """Overfitting in a history: when it began, and by how much.

    Parameters
    ----------
    epoch : int
        The first epoch (counted from 1) of it.
    gap : float
        Accuracy on training less that on validation images at the end, in [-1, 1].
    best_loss, last_loss : float
        Validation loss at its best and at the end.
    rising : bool
        Whether the validation loss climbed while the training loss fell; else only the
        accuracies part.
    """

    epoch: int
    gap: float
    best_loss: float
    last_loss: float
    rising: bool

    def __str__(self) -> str:
        gap = f"accuracy is {100 * self.gap:.1f} points higher on training than validation images"
        if not self.rising:
            return f"overfitting from epoch {self.epoch}: {gap}"
        return (
            f"overfitting from epoch {self.epoch}: the validation loss climbs from "
            f"{self.best_loss:.3g} to {self.last_loss:.3g} while the training loss falls; {gap}"
        )


def find_overfitting(history: Sequence[Mapping[str, Any]]) -> Overfitting | None:
    """Look for overfitting in a history.

    It is overfitting when the validation loss ends at least 5% above its best while the
    training loss went on falling: from the epoch after the best. Else, when at the end
    training accuracy is 5 points above validation accuracy: from the epoch at which the
    gap came to stay.

    Parameters
    ----------
    history : sequence of dict
        One an epoch, with ``epoch``, ``train_loss``, ``train_accuracy``, ``val_loss`` and
        ``val_accuracy`` (accuracies in [0, 1]).

    Returns
    -------
    Overfitting, or None
        None too where there is no validation, or fewer than 3 epochs.

    Examples
    --------
    >>> rows = [(1, 0.5, 0.5), (2, 0.3, 0.4), (3, 0.1, 0.6), (4, 0.0, 0.9)]
    >>> find_overfitting(
    ...     [{"epoch": e, "train_loss": t, "val_loss": v, "train_accuracy": 1, "val_accuracy": 0.9}
    ...      for e, t, v in rows]
    ... ).epoch
    3
    """
    needed = ("val_loss", "val_accuracy", "train_loss", "train_accuracy")
    seen = [row for row in history if all(row.get(name) is not None for name in needed)]
    if len(seen) < 3:
        return None
    end = seen[-min(LAST, len(seen) - 1) :]
    best = min(range(len(seen)), key=lambda i: float(seen[i]["val_loss"]))
    best_loss, last_loss = float(seen[best]["val_loss"]), _mean(end, "val_loss")
    gap = _mean(end, "train_accuracy") - _mean(end, "val_accuracy")
    falling = _mean(end, "train_loss") < float(seen[best]["train_loss"])
    if best < len(seen) - 1 and falling and last_loss > best_loss * (1 + RISE):
        return Overfitting(int(seen[best + 1]["epoch"]), gap, best_loss, last_loss, True)
    if gap < GAP:
        return None
    start = len(seen) - 1
    while start > 0 and _gap(seen[start - 1]) >= GAP:
        start -= 1
    return Overfitting(int(seen[start]["epoch"]), gap, best_loss, last_loss, False)


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    return sum(float(row[name]) for row in rows) / len(rows)


def _gap(row: Mapping[str, Any]) -> float:
    return float(row["train_accuracy"]) - float(row["val_accuracy"])
