"""Show which anchors of a detector are to answer for which objects of a picture, and why not."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.data import draw as sheets
from sightline.data import fonts, images
from sightline.data.dataset import Dataset, Split
from sightline.data.load import load_data
from sightline.errors import DataError, ParameterError
from sightline.estimators import create_model, load_model
from sightline.models import registry
from sightline.types import Detections

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDE = 46
"""Letters of a line beside the picture."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A picture, its objects and the anchors that are to answer for them.

    Parameters
    ----------
    name : str
        Of the picture.
    pixels : uint8 array, shape (H, W, C)
        As the network sees it.
    objects : Detections
        In its pixels.
    assignment : Assignment
        What the network's method ``assignment`` returned.
    """

    name: str
    pixels: NDArray[np.uint8]
    objects: Detections
    assignment: Any

    def rows(self) -> list[dict[str, Any]]:
        """Return a row an object: class, box, number of anchors, best overlap and its map, why."""
        made = []
        for row, name in enumerate(self.objects.names):
            best, anchor = self.assignment.best(row)
            made.append({
                "object": row + 1, "class": name,
                "box": [round(float(v), 1) for v in self.objects.boxes[row]],
                "anchors": self.assignment.count(row), "best": best,
                "map": self.assignment.groups[int(self.assignment.places[anchor])],
                "why": self.assignment.reasons[row],
            })  # fmt: skip
        return made


def explain(model: str, image: str, data: str | None = None) -> Explanation:
    """Assign anchors to the objects of an annotated picture.

    Parameters
    ----------
    model : str
        Folder of a run, or the name of a method.
    image : str
        File of the picture, its id in the data, or the end of it.
    data : str, optional
        Name or path of data; default: what the run was trained on.

    Raises
    ------
    ParameterError
        When the method assigns no anchors, or no data is known.
    DataError
        When the data has no such picture, or several.
    """
    trained = model not in registry.CARDS and not registry.is_foreign(model)
    run = load_model(model) if trained else None
    known = {} if run is None else run.config.get("data", {})
    named = data or known.get("path") or known.get("name")
    if not named:
        raise ParameterError(
            "which data the picture belongs to is not known: name it with data=..."
        )
    loaded = load_data(str(named))
    told = data is not None or known.get("path")  # a name alone does not tell its options
    if not told and loaded.fingerprint() != known.get("fingerprint"):
        raise ParameterError(f"{model} was trained on other {named} than these: name data=...")
    row = _row(loaded, image)
    split = Split(loaded, "train", np.array([row], np.int64))
    estimator = run or create_model(model, loaded)
    if run is None:
        network: Any = estimator.training(split).plain
        size, resize = _size_of(network, estimator, split)
    else:
        network = getattr(run.method_, "model", None)
        size, resize = run.fitted().size, run.fitted().resize
    if not hasattr(network, "assignment"):
        raise ParameterError(f"{model} assigns no anchors to objects; ssd-small, for one, does")
    method = getattr(run, "method_", None)
    return _explained(network, loaded, row, size, resize, method)


def _size_of(network: Any, estimator: Any, split: Split) -> tuple[tuple[int, int], images.Resize]:
    """Return the size of the images that a network was just built for."""
    from sightline.estimators import backbone

    fitted = backbone.fit(estimator.preprocess, split, registry.card(estimator.name))
    return fitted.size, fitted.resize


def _explained(
    network: Any, data: Dataset, row: int, size: tuple[int, int], resize: images.Resize,
    method: Any = None,
) -> Explanation:  # fmt: skip
    import torch

    sample = data.sample(row, size, resize)
    objects = sample.objects
    if objects is None or not len(objects):
        raise DataError(f"{sample.id} has no object, so that all anchors are background")
    network.eval()
    pixels = sample.image[None]
    if method is not None:
        x = method.standardised(pixels, torch.device("cpu"))
    else:  # by its own mean and deviation: the network is as it was drawn
        x = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float()
        x = (x - x.mean()) / x.std().clamp(min=1)
    target = {
        "boxes": torch.from_numpy(objects.boxes), "labels": torch.from_numpy(objects.labels)
    }  # fmt: skip
    assignment = network.assignment(x, target)
    return Explanation(sample.id, sample.image, objects, assignment)


def _row(data: Dataset, image: str) -> int:
    """Return the row of a picture: by its file, its id, or the end of that.

    Raises
    ------
    DataError
        When there is none, or there are several.
    """
    items, path = data.source.items, Path(image)
    real = str(path.resolve()) if path.is_file() else None
    for test in (
        lambda item: real is not None and str(Path(str(item.image)).resolve()) == real,
        lambda item: item.id == image,
        lambda item: item.id.endswith(f"/{image}"),
        lambda item: Path(item.id).stem == path.stem,
    ):
        rows = [row for row, item in enumerate(items) if test(item)]
        if len(rows) == 1:
            return rows[0]
        if rows:
            some = ", ".join(items[row].id for row in rows[:3])
            raise DataError(f"{data.name} has {len(rows)} pictures called {image} ({some}, ...)")
    raise DataError(f"{data.name} has no picture {image}; the first is {items[0].id}")


def draw(explanation: Explanation) -> Figure:
    """Draw a picture with its objects (thick) and their anchors (thin), and what is to be said.

    Parameters
    ----------
    explanation : Explanation
    """
    from matplotlib.patches import Rectangle

    objects, made = explanation.objects, explanation.assignment
    tints = sheets.colours(np.arange(len(objects))) / 255
    lines = [line for row in explanation.rows() for line in _lines(row, made.called)]
    height = max(4.4, 0.19 * len(lines) + 0.6)
    figure = fonts.figure(9.2, height, dpi=130)
    picture, text = figure.subplots(1, 2, width_ratios=(5, 4))
    grey = explanation.pixels.shape[2] == 1
    shown: Any = explanation.pixels[:, :, 0] if grey else explanation.pixels
    picture.imshow(shown, cmap="gray" if grey else None, vmin=0, vmax=255)
    picture.set_axis_off()
    text.set_axis_off()
    picture.set_title(explanation.name, fontsize=9)
    for row, tint in enumerate(tints):
        mine = made.anchors[made.assigned == row].numpy()
        dashed = len(mine) == 0
        if dashed and made.best(row)[0] > 0:
            mine = made.anchors[[made.best(row)[1]]].numpy()
        for x1, y1, x2, y2 in mine:
            style = ":" if dashed else "-"
            picture.add_patch(Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False,
                                        ec=tint, lw=0.6, ls=style, alpha=0.8))  # fmt: skip
        x1, y1, x2, y2 = (float(v) for v in objects.boxes[row])
        picture.add_patch(
            Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, ec=tint, lw=2.2)
        )
        picture.text(x1, y1, f" {row + 1} ", fontsize=8, va="bottom", color="white", clip_on=True,
                     bbox={"facecolor": tint, "edgecolor": "none", "pad": 0.8})  # fmt: skip
    picture.set_xlim(-0.5, explanation.pixels.shape[1] - 0.5)
    picture.set_ylim(explanation.pixels.shape[0] - 0.5, -0.5)
    for i, (line, owner, bold) in enumerate(lines):
        text.text(
            0, 1 - (i + 0.5) / max(len(lines), 1) * min(1, 0.19 * len(lines) / (height - 0.6)),
            line, fontsize=8, color=tints[owner] * 0.7 if bold else "black", va="center",
            weight="bold" if bold else "normal",
        )  # fmt: skip
    return figure


def _lines(row: dict[str, Any], called: str) -> list[tuple[str, int, bool]]:
    """Return the lines that tell of an object, with its number from 0 and whether they are bold."""
    words = f"{counted(row['anchors'], called)}, best {row['best']:.2f} on {row['map']}"
    owner = row["object"] - 1
    more = textwrap.wrap(row["why"], _WIDE) if row["why"] else []
    return [(f"{row['object']} {row['class']}", owner, True), (words, owner, False),
            *((f"  {line}", owner, False) for line in more)]  # fmt: skip
