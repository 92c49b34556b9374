"""Read Label Studio's JSON: a list of tasks with the regions and choices of each image.

Sizes are in hundredths of the image. Both exports are read: ``JSON`` and ``JSON-MIN``.

Source: labelstud.io/guide/export and labelstud.io/guide/task_format.
"""

from __future__ import annotations

import json
import math
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import documents, files, images, scan, text
from sightline.data.bounds import Bounds
from sightline.data.dataset import Dataset
from sightline.data.drawn_objects import LeftOut, Picture, dataset, ellipse
from sightline.data.split_names import split_in, split_of_path
from sightline.errors import DataError

_REGIONS = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels", "labels")


def why_not(folder: Path) -> str | None:
    """Return what keeps a folder from being Label Studio's; None when nothing does."""
    return None if next(_pages(folder), None) else "no JSON with tasks of Label Studio"


def why_not_file(path: Path) -> str | None:
    """Return what keeps a file from being Label Studio's."""
    return None if _is_page(path) else "no list of tasks with 'annotations' or regions"


def read(
    folder: Path, name: str, *, bounds: Bounds | None = None, described: Path | None = None
) -> Dataset:
    """Read tasks; of several annotations of a task the first that was not cancelled counts.

    Rectangles (also turned ones), polygons and ellipses are objects; a choice is the class of an
    image where there are no objects at all. Brush strokes and key points are left out, which
    the notes say. An image is looked for by its own name, also without what uploading put before
    it (``1a2b3c4d-photo.jpg``).

    Parameters
    ----------
    folder : path
    name : str
    bounds : Bounds, optional
        Where the images may lie.
    described : path, optional
        The one JSON to read.

    Raises
    ------
    DataError
        When the JSON is broken, or no image is there.
    """
    folder = folder.resolve()
    bounds = bounds or Bounds(folder)
    left, pictures = LeftOut(), []
    by_name = scan.tree(folder).named()
    for path in [described] if described else _pages(folder):
        for number, task in enumerate(_tasks(path)):
            where = f"{path}: task {task.get('id', number)}"
            stated = _stated(task)
            image = None if stated is None else _image(stated, path, bounds, by_name)
            if image is None:
                left.add("tasks have no image on disk and are left out", f"{where} ({stated!r})")
                continue
            regions = _regions(task, left, where)
            split = split_of_path(stated or "") or split_in(path.stem) or "train"
            picture = Picture(files.below(image, folder), image, (0, 0), split)
            if any({"x", "points"} & region["value"].keys() for region in regions):
                picture.size = files.upright_size(image)
            for region in regions:
                _add(picture, region, where, left)
            pictures.append(picture)
    return dataset(name, str(folder), pictures, "label_studio", left.notes())


def _pages(folder: Path) -> Iterator[Path]:
    return scan.tree(folder).passing(".json", _is_page)


def _is_page(path: Path) -> bool:
    try:
        head = text.decode(text.read_bytes(path)).text.lstrip()
    except DataError:
        return False
    full = '"annotations"' in head and '"data"' in head and '"result"' in head
    return head.startswith("[") and (full or any(f'"{kind}"' in head for kind in _REGIONS))


def _tasks(path: Path) -> list[dict[str, Any]]:
    tasks = documents.read_json(path)
    if not isinstance(tasks, list) or not all(isinstance(t, dict) for t in tasks):
        raise DataError(f"{path}: no list of tasks; export it as JSON")
    return tasks


def _stated(task: dict[str, Any]) -> str | None:
    """Return what a task calls its image: the first text in its data that looks like one."""
    data = task.get("data") if isinstance(task.get("data"), dict) else task
    values = [v for v in (data or {}).values() if isinstance(v, str)]
    return next((v for v in values if images.is_image(_own_name(v))), None)


def _own_name(stated: str) -> str:
    """Return the name of a file in an address such as ``/data/local-files/?d=photos/1.jpg``."""
    address = urllib.parse.urlsplit(stated)
    asked = urllib.parse.parse_qs(address.query).get("d")
    written = asked[0] if asked else urllib.parse.unquote(address.path)
    return written.replace("\\", "/").rsplit("/", 1)[-1]


def _image(stated: str, path: Path, bounds: Bounds, by_name: dict[str, list[str]]) -> str | None:
    own = _own_name(stated)
    for name in (own, re.sub(r"^[0-9a-f]{8}-", "", own)):
        same = by_name.get(scan.composed(name), [])
        if len(same) == 1:
            return same[0]
    if "://" in stated:
        return None
    image = bounds.find(stated, [path.parent, bounds.root], str(path))
    return image if image is not None and Path(image).is_file() else None


def _regions(task: dict[str, Any], left: LeftOut, where: str) -> list[dict[str, Any]]:
    """Return the regions of a task as ``{"type": ..., "value": {...}}``."""
    every = task.get("annotations")
    if isinstance(every, list):
        kept = [a for a in every if isinstance(a, dict) and not a.get("was_cancelled")]
        if len(kept) > 1:
            left.add("tasks have several annotations, of which the first counts", where)
        result = kept[0].get("result") if kept else []
        if not isinstance(result, list):
            raise DataError(f"{where} has annotations without a list 'result'")
        return [r for r in result if isinstance(r, dict) and isinstance(r.get("value"), dict)]
    plain: list[dict[str, Any]] = []
    for value in task.values():  # JSON-MIN: regions stand in the task, choices are texts
        if isinstance(value, list):
            plain += [{"type": kind, "value": r} for r in value if isinstance(r, dict)
                      for kind in _REGIONS if kind in r]  # fmt: skip
    for key in ("choice", "choices", "class"):
        if isinstance(task.get(key), str):
            plain.append({"type": "choices", "value": {"choices": [task[key]]}})
    return plain


def _add(picture: Picture, region: dict[str, Any], where: str, left: LeftOut) -> None:
    kind, value = region.get("type"), region["value"]
    if kind == "choices":
        chosen = value.get("choices")
        picture.label = picture.label or (str(chosen[0]) if chosen else None)
        return
    names = next((value[k] for k in _REGIONS if isinstance(value.get(k), list) and value[k]), None)
    width, height = picture.size
    if not names or not isinstance(names[0], str):
        left.add("regions have no label or are of a kind that is not read", f"{where} ({kind})")
    elif isinstance(value.get("points"), list):
        points = _numbers(value["points"], where).reshape(-1, 2) / 100 * (width, height)
        if len(points) < 3:
            raise DataError(f"{where}: a polygon of {len(points)} corners; delete it")
        picture.add_polygon(names[0], points)
    elif "radiusX" in value:
        x, y, rx, ry = _numbers([value.get(k) for k in ("x", "y", "radiusX", "radiusY")], where)
        picture.add_polygon(
            names[0],
            ellipse(x * width / 100, y * height / 100, rx * width / 100, ry * height / 100),
        )
    elif {"x", "y", "width", "height"} <= value.keys():
        x, y, w, h = _numbers([value[k] for k in ("x", "y", "width", "height")], where) / 100
        turn = float(_numbers([value.get("rotation") or 0], where).ravel()[:1].sum())
        corners = np.array([[0, 0], [w * width, 0], [w * width, h * height], [0, h * height]])
        if not turn:
            picture.add_box(names[0], x * width, y * height, (x + w) * width, (y + h) * height)
            return
        # About its upper left corner, clockwise.
        cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        turned = corners @ np.array([[cos, sin], [-sin, cos]]) + (x * width, y * height)
        picture.add_polygon(names[0], turned)
    else:
        left.add("regions are brush strokes or points and are left out", f"{where} ({kind})")


def _numbers(values: Any, where: str) -> NDArray[np.float64]:
    try:
        numbers = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.array([np.nan])
    if not np.isfinite(numbers).all():
        raise DataError(f"{where}: {json.dumps(values)[:60]} are no numbers")
    return numbers
