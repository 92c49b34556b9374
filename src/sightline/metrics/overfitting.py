"""Detect overfitting in a training history, and when it began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sightline.metrics import Metrics, figure_text

RISE = 0.05
"""Share by which the validation loss must climb above its best."""
GAP = 0.05
"""Gap of the shares, training and validation, that is overfitting by itself."""
APART = 0.25
"""The same of figures that are no shares, as a share of the figure on validation images."""
DIVERGED = 5.0
"""Times its least value that a validation loss ends at when a training has diverged."""
LAST = 3
"""Epochs at the end over which figures are averaged, as one epoch is noise."""


@dataclass(frozen=True, slots=True)
class Watched:
    """The figure besides the loss that a training is judged by.

    Parameters
    ----------
    name : str
        As in the history's ``val_NAME`` and ``train_NAME``.
    share : bool
        Whether it is a share, in [0, 1].
    higher_is_better : bool
    """

    name: str
    share: bool = True
    higher_is_better: bool = True

    @property
    def words(self) -> str:
        """Return its name in words."""
        return self.name.replace("_", " ")

    def gap(self, row: Mapping[str, Any]) -> float:
        """Return how much better it is on training than on validation images, in its own unit."""
        gap = float(row[f"train_{self.name}"]) - float(row[f"val_{self.name}"])
        return gap if self.higher_is_better else -gap

    def parted(self, row: Mapping[str, Any]) -> bool:
        """Tell whether the gap is overfitting by itself."""
        least = GAP if self.share else APART * abs(float(row[f"val_{self.name}"]))
        return self.gap(row) >= least > 0

    def text(self, gap: float) -> str:
        """Return a gap as text."""
        return f"{100 * gap:.1f} points" if self.share else f"{gap:.3g}"


def watched(history: Sequence[Mapping[str, Any]], metrics: Metrics | None = None) -> Watched | None:
    """Find the figure besides the loss that a history follows.

    It is the first of the rows' figures of validation, else of training.

    Parameters
    ----------
    history : sequence of dict
        See `find_overfitting`.
    metrics : Metrics, optional
        Of the same task. Where the figure is their headline, they say whether it is a share and
        which way is better; of any other it is supposed that it is a share, and higher is better.

    Returns
    -------
    Watched, or None
        None where the rows have no figure but losses.
    """
    for part in ("val_", "train_"):
        for row in history:
            for key, value in row.items():
                name = key.removeprefix(part)
                if not key.startswith(part) or name == "loss" or value is None:
                    continue
                if metrics is not None and name == metrics.headline_name:
                    return Watched(name, metrics.share, metrics.higher_is_better)
                return Watched(name)
    return None


@dataclass(frozen=True, slots=True)
class Overfitting:
    """Overfitting in a history: when it began, and by how much.

    Parameters
    ----------
    epoch : int
        The first epoch (counted from 1) of it.
    gap : float, optional
        How much better the figure is on training than on validation images at the end, in its own
        unit; None where the history does not have it of both.
    best_loss, last_loss : float, optional
        Validation loss at its best and at the end; None where the history has none.
    rising : bool
        Whether the validation loss climbed while the training loss fell; else only the
        figures part.
    watched : Watched, optional
        The figure that `gap` is of.
    """

    epoch: int
    gap: float | None
    best_loss: float | None
    last_loss: float | None
    rising: bool
    watched: Watched | None = None

    def __str__(self) -> str:
        said = []
        if self.rising:
            said.append(
                f"the validation loss climbs from {self.best_loss:.3g} to {self.last_loss:.3g} "
                "while the training loss falls"
            )
        if self.watched is not None and self.gap is not None:
            said.append(
                f"{self.watched.words} is {self.watched.text(self.gap)} "
                f"{'higher' if self.watched.higher_is_better else 'lower'} on training than "
                "validation images"
            )
        return f"overfitting from epoch {self.epoch}: {'; '.join(said)}"


def find_overfitting(
    history: Sequence[Mapping[str, Any]], figure: Watched | None = None
) -> Overfitting | None:
    """Look for overfitting in a history.

    It is overfitting when the validation loss ends at least 5% above its best while the
    training loss went on falling: from the epoch after the best. Else, when at the end the
    figure is better on training than on validation images by 5 points (of one that is no share:
    by a quarter of what it is on validation images): from the epoch at which the gap came to stay.

    Parameters
    ----------
    history : sequence of dict
        One an epoch, with ``epoch``; for the first rule with ``train_loss`` and ``val_loss``, for
        the second with the figure of both, such as ``train_accuracy`` and ``val_accuracy``.
    figure : Watched, optional
        Default: what `watched` finds.

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
    figure = watched(history) if figure is None else figure
    judged = [] if figure is None else _with(history, f"train_{figure.name}", f"val_{figure.name}")
    ending = _mean(_end(judged)) if judged else None
    gap = figure.gap(ending) if figure is not None and ending is not None else None
    best_loss = last_loss = None
    seen = _with(history, "train_loss", "val_loss")
    if len(seen) >= 3:
        end = _mean(_end(seen))
        best = min(range(len(seen)), key=lambda i: float(seen[i]["val_loss"]))
        best_loss, last_loss = float(seen[best]["val_loss"]), end["val_loss"]
        falling = end["train_loss"] < float(seen[best]["train_loss"])
        if best < len(seen) - 1 and falling and last_loss > best_loss * (1 + RISE):
            epoch = int(seen[best + 1]["epoch"])
            return Overfitting(epoch, gap, best_loss, last_loss, True, figure)
    if figure is None or ending is None or len(judged) < 3 or not figure.parted(ending):
        return None
    start = len(judged) - 1
    while start > 0 and figure.parted(judged[start - 1]):
        start -= 1
    return Overfitting(int(judged[start]["epoch"]), gap, best_loss, last_loss, False, figure)


def far_behind(
    history: Sequence[Mapping[str, Any]], kept: int, figure: Watched | None = None
) -> str | None:
    """Say that a training got worse after the epoch whose weights were kept, if it did so clearly.

    Parameters
    ----------
    history : sequence of dict
        See `find_overfitting`.
    kept : int
        The epoch, counted from 1.
    figure : Watched, optional
        Default: what `watched` finds.

    Returns
    -------
    str, or None
        A sentence where the figure of validation fell by as much as is overfitting by itself
        (`Watched.parted`), or its loss ended above `DIVERGED` times its least.
    """
    figure = watched(history) if figure is None else figure
    rows = [row for row in history if row["epoch"] >= kept]
    if figure is None or len(rows) < 2:
        return None
    name, said = f"val_{figure.name}", []
    ending = _mean(_end(rows[1:]) if len(rows) > 2 else rows[1:])
    if rows[0].get(name) is not None and ending.get(name) is not None:
        then, end = float(rows[0][name]), ending[name]
        lost = then - end if figure.higher_is_better else end - then
        if lost >= (GAP if figure.share else APART * abs(then)) > 0:
            text = [figure_text(value, figure.share, 1) for value in (then, end)]
            said.append(
                f"{figure.words} on validation images was {text[0]} then, and {text[1]} at the end"
            )
    losses = [float(row["val_loss"]) for row in history if row.get("val_loss") is not None]
    if losses and losses[-1] > DIVERGED * min(losses):
        said.append(f"the validation loss rose from {min(losses):.3g} to {losses[-1]:.3g}")
    if not said:
        return None
    return f"the weights of epoch {kept} of {len(history)} are kept: {'; '.join(said)}"


def _with(history: Sequence[Mapping[str, Any]], *names: str) -> list[Mapping[str, Any]]:
    """Return the rows that have all of these figures."""
    return [row for row in history if all(row.get(name) is not None for name in names)]


def _end(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return the last rows, but never all of them where there are several."""
    return rows[-max(min(LAST, len(rows) - 1), 1) :]


def _mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the means of the losses and figures of some rows."""
    names = [name for name in rows[0] if name.startswith(("train_", "val_"))]
    return {
        name: sum(float(row[name]) for row in rows) / len(rows)
        for name in names
        if all(row.get(name) is not None for row in rows)
    }
