"""Train networks of growing width on few images, with and without regularisers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.data import fonts
from sightline.data.load import check_task
from sightline.errors import DataError
from sightline.models.backprop.mlp import MLPClassifier
from sightline.types import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sightline.data.dataset import Dataset

WIDTHS = (2, 4, 8, 16, 32, 64, 128)
"""Units of the one hidden layer."""
REGULARISERS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "none": {},
        "L1": {"l1": 3e-3},
        "L2": {"l2": 2e-2},
        "dropout": {"dropout": 0.5},
        "early stopping": {"patience": 5},
    }
)
"""Knobs of `MLPClassifier` that each switches on."""
IMAGES = 200
"""Training images: few, so that a wide network can learn them by heart."""
NOISE = 0.15
"""Share of the training labels that is wrong: what only learning by heart can get right."""


@dataclass(frozen=True, slots=True)
class Point:
    """The mean accuracies of one kind of network: a width and a regulariser.

    Parameters
    ----------
    width : int
    regulariser : str
    train_accuracy, val_accuracy : float
        In [0, 1], means over the seeds; the training labels include the wrong ones.
    epochs : float
        Trained for, which early stopping makes fewer.
    """

    width: int
    regulariser: str
    train_accuracy: float
    val_accuracy: float
    epochs: float


@dataclass(frozen=True, slots=True)
class Study:
    """All networks of a study, and the data that they saw.

    Parameters
    ----------
    points : list of Point
    data : str
    images : int
    noise : float
        Share of wrong training labels.
    """

    points: list[Point]
    data: str
    images: int
    noise: float

    def line(self, regulariser: str) -> list[Point]:
        """Return the networks of one regulariser, the narrowest first."""
        return [p for p in self.points if p.regulariser == regulariser]


def study(
    data: Dataset, *, widths: Sequence[int] = WIDTHS, epochs: int = 80, images: int = IMAGES,
    noise: float = NOISE, seeds: int = 3,
    progress: Callable[[int, int], None] | None = None,
) -> Study:  # fmt: skip
    """Train one network for every width, regulariser and seed.

    Parameters
    ----------
    data : Dataset
        With train and val splits.
    widths : sequence of int
    epochs : int
    images : int
        Of the training split, drawn at random.
    noise : float
        Share of their labels that is replaced by a random other class.
    seeds : int
        Networks averaged in each point.
    progress : callable, optional
        Called with (networks trained, networks in all).

    Raises
    ------
    DataError
        When the data is not for classification, or has no validation images.
    """
    check_task(data, Task.CLASSIFY)
    if "val" not in data.rows or not len(data.val):
        raise DataError(f"{data.name} has no validation images, and overfitting shows only on them")
    rng = np.random.default_rng(data.seed)
    rows = rng.permutation(len(data.train))[:images]
    side = data.size or (32, 32)
    X, y, _ = data.train.take(rows).arrays(side, "crop")
    X_val, y_val, _ = data.val.arrays(side, "crop")
    X_val, y_val = X_val[:2000], y_val[:2000]
    y = _mislabelled(y, len(data.classes), noise, rng)
    jobs = [(width, name) for name in REGULARISERS for width in widths]
    points = []
    for i, (width, name) in enumerate(jobs):
        scores = []
        for seed in range(seeds):
            knobs: dict[str, Any] = {"dropout": 0.0, **REGULARISERS[name]}
            model = MLPClassifier(
                hidden=(width,), epochs=epochs, batch_size=20, learning_rate=0.005,
                schedule="constant", flip="off", seed=seed, **knobs,
            )  # fmt: skip
            # Shown validation images, a network keeps its best epoch, which regularises it, too.
            held: dict[str, Any] = {"X_val": X_val, "y_val": y_val} if model.patience else {}
            model.fit(X, y, **held)
            scores.append((model.score(X, y), model.score(X_val, y_val), len(model.history_)))
            if progress:
                progress(i * seeds + seed + 1, len(jobs) * seeds)
        points.append(Point(width, name, *np.mean(scores, axis=0).tolist()))
    return Study(points, data.name, len(y), noise)


def draw(measured: Study) -> Figure:
    """Draw accuracy against width: a panel a regulariser, the bare network behind each."""
    names = list(REGULARISERS)
    drawing = fonts.figure(2.75 * len(names) + 0.4, 4.1, dpi=110)
    panels = drawing.subplots(1, len(names), sharey=True)
    bare = measured.line("none")
    for axes, name in zip(panels, names, strict=True):
        line = measured.line(name)
        widths = [p.width for p in line]
        train = [100 * p.train_accuracy for p in line]
        val = [100 * p.val_accuracy for p in line]
        if name != "none":
            axes.plot(
                widths, [100 * p.val_accuracy for p in bare], ":", color="0.45", linewidth=1.6,
                label="validation without it",
            )  # fmt: skip
        axes.plot(
            widths, train, "o-", color="#0072B2", markersize=4, label="training (labels as given)"
        )
        axes.plot(widths, val, "s-", color="#D55E00", markersize=4, label="validation")
        if measured.noise:
            axes.axhline(100 * (1 - measured.noise), color="0.75", linewidth=1, zorder=0)
        top = max(line, key=lambda p: p.val_accuracy)
        axes.set_title(
            f"{_setting(name)}\nbest {100 * top.val_accuracy:.1f}% at {top.width} units",
            fontsize=10,
        )
        axes.set_xscale("log", base=2)
        axes.set_xticks(widths, [str(w) for w in widths], fontsize=8)
        axes.minorticks_off()
        axes.set_xlabel("hidden units")
        axes.grid(visible=True, color="0.93")
    panels[0].set_ylabel("accuracy, %")
    if measured.noise:
        panels[0].annotate(
            "right labels", (panels[0].get_xlim()[0], 100 * (1 - measured.noise)),
            xytext=(4, 2), textcoords="offset points", fontsize=8, color="0.45",
        )  # fmt: skip
    handles, labels = panels[-1].get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    drawing.suptitle(
        f"{counted(measured.images, 'image')} of {measured.data}, {measured.noise:.0%} of the "
        "labels wrong: wide networks learn the errors by heart, regularised ones less"
    )
    return drawing


def _setting(name: str) -> str:
    if not REGULARISERS[name]:
        return "no regulariser"
    knob, value = next(iter(REGULARISERS[name].items()))
    return f"{name}, patience {value}" if knob == "patience" else f"{name} {value:g}"


def _mislabelled(
    y: NDArray[np.int64], classes: int, share: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    wrong = rng.permutation(len(y))[: round(share * len(y))]
    y = y.copy()
    y[wrong] = (y[wrong] + rng.integers(1, classes, len(wrong))) % classes
    return y
