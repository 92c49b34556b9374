"""Measure selective search on annotated pictures: how many proposals find how many objects."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.data import fonts
from sightline.data.draw import draw_sample
from sightline.data.load import check_task, left_out_note
from sightline.errors import DataError, ParameterError
from sightline.metrics.detect_proposals import best_overlaps, recall
from sightline.metrics.detect_table import overlap
from sightline.types import Progress, Sample, Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sightline.data.dataset import Dataset

OVERLAPS = (0.5, 0.7, 0.9)
"""IoU from which on an object counts as proposed."""

SHOWN = 6
"""Pictures that are drawn."""


@dataclass(frozen=True, slots=True)
class Study:
    """What selective search proposes in pictures whose objects are known.

    Parameters
    ----------
    data : Dataset
    split : str
    samples : list of Sample
        The pictures that are drawn.
    regions : list of float32 array, shape (K, 4)
        Proposals in each of them, the most promising first.
    counts : list of int
        Numbers of proposals.
    best : float64 array, shape (len(counts), objects)
        The largest IoU of each object with so many proposals.
    images, proposals : int
        Pictures looked at, and proposals in all of them.
    seconds : float
        That a picture took, on average; the first one is not counted, as it compiles the search.
    notes : list of str
        What was left out.
    """

    data: Dataset
    split: str
    samples: list[Sample]
    regions: list[NDArray[np.float32]]
    counts: list[int]
    best: NDArray[np.float64]
    images: int
    proposals: int
    seconds: float
    notes: list[str]

    def rows(self) -> list[dict[str, Any]]:
        """Return of each number of proposals the recall at each overlap, and the mean overlap."""
        shares = {f"recall at {least:g}": recall(self.best, least) for least in OVERLAPS}
        return [
            {"proposals": n, "mean overlap": float(self.best[i].mean())}
            | {name: float(values[i]) for name, values in shares.items()}
            for i, n in enumerate(self.counts)
        ]


def study(
    data: Dataset, split: str = "test", *, images: int = 50, most: int = 2000, seed: int = 0,
    progress: Progress | None = None,
) -> Study:  # fmt: skip
    """Propose regions in pictures of a split, and measure how well objects are among them.

    Parameters
    ----------
    data : Dataset
        With boxes.
    split : str
    images : int
        Pictures that are looked at, drawn at random.
    most : int
        Proposals of a picture at most.
    seed : int
    progress : callable, optional
        Called with (pictures done, pictures in all).

    Raises
    ------
    DataError
        When the data has no boxes, or none of the pictures has an object.
    ParameterError
        When `images` or `most` is below 1.
    """
    from sightline.models.detect.proposals import selective_search

    if images < 1 or most < 1:
        raise ParameterError("images and most must be at least 1")
    check_task(data, Task.DETECT)
    chosen = data.split(split)
    order = np.random.default_rng(seed).permutation(len(chosen))[:images]
    samples, shown = list[Sample](), list[NDArray[np.float32]]()
    regions, truth = list[NDArray[np.float32]](), list[NDArray[Any]]()
    spent, unread = list[float](), list[str]()
    for done, row in enumerate(np.sort(order), 1):
        try:
            sample = chosen[int(row)]
        except DataError as error:
            unread.append(str(error))
            continue
        start = time.perf_counter()
        regions.append(selective_search(np.ascontiguousarray(sample.image), most))
        spent.append(time.perf_counter() - start)
        truth.append(_known(sample))
        if len(truth[-1]) and len(samples) < SHOWN:
            samples.append(sample)
            shown.append(regions[-1])
        if progress:
            progress(done, len(order))
    counts = [int(n) for n in np.unique(np.geomspace(1, most, 40).round())]
    best = best_overlaps(regions, truth, counts)
    if not best.shape[1]:
        raise DataError(f"no object in the {counted(len(truth), 'image')} of {data.name}/{split}")
    return Study(
        data, split, samples, shown, counts, best, len(truth), sum(map(len, regions)),
        float(np.mean(spent[1:] or spent)),
        [left_out_note(unread, len(order))] if unread else [],
    )  # fmt: skip


def _known(sample: Sample) -> NDArray[Any]:
    """Return the boxes of a picture's objects; a crowd is none."""
    objects = sample.objects
    if objects is None:
        return np.zeros((0, 4))
    return objects.boxes if objects.crowd is None else objects.boxes[~objects.crowd]


def draw(measured: Study) -> Figure:
    """Draw recall against the number of proposals, and pictures with the best one of each object.

    Objects are drawn in the colours of their classes; the proposal that overlaps each most is
    dashed.
    """
    drawing = fonts.figure(11, 4.6, dpi=110)
    left, right = drawing.subfigures(1, 2, squeeze=False, width_ratios=[4.6, 6.4])[0]
    axes = left.subplots()
    markers = ("o", "s", "^")
    tints = ("#0072B2", "#D55E00", "#009E73")
    for least, marker, tint in zip(OVERLAPS, markers, tints, strict=True):
        axes.plot(
            measured.counts, 100 * recall(measured.best, least), marker=marker, color=tint,
            markersize=3.5, linewidth=1.3, label=f"overlap of at least {least:g}",
        )  # fmt: skip
    axes.plot(
        measured.counts, 100 * measured.best.mean(1), ":", color="0.35", linewidth=1.3,
        label="mean best overlap",
    )  # fmt: skip
    axes.set_xscale("log")
    axes.set_ylim(0, 102)
    axes.set_xlabel("proposals of a picture")
    axes.set_ylabel("objects that one overlaps (recall), %")
    axes.grid(visible=True, color="0.93")
    axes.legend(fontsize=8, loc="upper left" if recall(measured.best)[0] < 0.5 else "lower right")
    _pictures(right, measured)
    drawing.suptitle(
        f"selective search on {counted(measured.images, 'picture')} of {measured.data.name}/"
        f"{measured.split}: {counted(measured.best.shape[1], 'object')}, "
        f"{measured.proposals / measured.images:,.0f} proposals and {measured.seconds:.2f} s a "
        "picture",
        fontsize=10,
    )
    return drawing


def _pictures(drawing: Any, measured: Study) -> None:
    columns = min(3, len(measured.samples))
    lines = -(-len(measured.samples) // columns)
    grid = drawing.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    from matplotlib.patches import Rectangle

    for axes, sample, boxes in zip(grid, measured.samples, measured.regions, strict=False):
        bare = None if sample.objects is None else dataclasses.replace(sample.objects, masks=None)
        draw_sample(axes, Sample(sample.image, sample.id, objects=bare), measured.data)
        real = np.asarray(_known(sample), np.float64)
        shares = overlap(boxes.astype(np.float64), real, np.zeros(len(real), np.bool_))
        for x1, y1, x2, y2 in boxes[shares.argmax(0)]:
            axes.add_patch(
                Rectangle(
                    (x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, ec="white", lw=1.1, ls="--"
                )
            )
        axes.set_title(f"mean best overlap {shares.max(0).mean():.2f}", fontsize=8)
