"""Read *CVAT for images*: one XML with all images, their boxes, polygons, masks and tags.

Source: the format *CVAT for images 1.1*, docs.cvat.ai.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from sightline.data import documents, files, scan, text
from sightline.data.bounds import Bounds
from sightline.data.dataset import Dataset
from sightline.data.drawn_objects import LeftOut, Picture, dataset, ellipse
from sightline.data.split_names import split_in, split_of_path
from sightline.errors import DataError

_PLACES = ("", "images", "data", "imgs", "JPEGImages")


def why_not(folder: Path) -> str | None:
    """Return what keeps a folder from being CVAT's; None when nothing does."""
    return None if next(_pages(folder), None) else "no XML with <annotations> of images"


def why_not_file(path: Path) -> str | None:
    """Return what keeps a file from being CVAT's XML."""
    return None if _is_page(path) else "no <annotations> with <image>"


def read(
    folder: Path, name: str, *, bounds: Bounds | None = None, described: Path | None = None
) -> Dataset:
    """Read CVAT's XML; the attribute ``subset``, or a folder's name, is the split.

    Boxes, polygons, ellipses and masks are objects; a tag is the class of an image where there
    are no objects at all. What has no area (points, lines) and cuboids and skeletons are left out,
    which the notes say.

    Parameters
    ----------
    folder : path
    name : str
    bounds : Bounds, optional
        Where the images may lie.
    described : path, optional
        The one XML to read.

    Raises
    ------
    DataError
        When the XML is broken, or no image is there.
    """
    folder = folder.resolve()
    bounds = bounds or Bounds(folder)
    listed = scan.tree(folder)
    left, pictures = LeftOut(), []
    for path in [described] if described else _pages(folder):
        for image in documents.read_xml(path).iter("image"):
            stated = image.get("name") or ""
            place = _image(stated, path, bounds, listed)
            if place is None:
                left.add("images are not on disk and are left out", repr(stated))
                continue
            split = split_in(image.get("subset") or "") or split_of_path(stated)
            split = split or split_in(path.stem) or "train"
            size = int(_number(path, image, "width")), int(_number(path, image, "height"))
            picture = Picture(files.below(place, folder), place, size, split)
            for number, shape in enumerate(image, start=1):
                _add(picture, shape, path, f"{stated}, shape {number}", left)
            pictures.append(picture)
    return dataset(name, str(folder), pictures, "cvat", left.notes())


def _pages(folder: Path) -> Iterator[Path]:
    return scan.tree(folder).passing(".xml", _is_page)


def _is_page(path: Path) -> bool:
    try:
        head = text.decode(text.read_bytes(path)[: 2**16]).text
    except DataError:
        return False
    return "<annotations" in head and ("<image " in head or "<meta" in head)


def _image(stated: str, path: Path, bounds: Bounds, listed: scan.Tree) -> str | None:
    places = [p / inner for p in (path.parent, bounds.root) for inner in _PLACES]
    place = bounds.find(stated, places, str(path)) if stated else None
    if place is None:
        same = listed.named().get(scan.composed(stated.replace("\\", "/").rsplit("/", 1)[-1]), [])
        place = same[0] if len(same) == 1 else None
    return place if place is not None and Path(place).is_file() else None


def _add(picture: Picture, shape: Element, path: Path, where: str, left: LeftOut) -> None:
    name = shape.get("label") or ""
    if shape.tag == "box" and not (shape.get("rotation") and _number(path, shape, "rotation")):
        corners = (_number(path, shape, key) for key in ("xtl", "ytl", "xbr", "ybr"))
        picture.add_box(name, *corners)
    elif shape.tag == "box":
        picture.add_polygon(name, _turned(path, shape))
    elif shape.tag == "polygon":
        picture.add_polygon(name, _points(path, shape))
    elif shape.tag == "ellipse":
        numbers = (_number(path, shape, key) for key in ("cx", "cy", "rx", "ry"))
        picture.add_polygon(name, ellipse(*numbers))
    elif shape.tag == "mask":
        picture.add_mask(name, _mask(path, shape, picture.size))
    elif shape.tag == "tag":
        picture.label = picture.label or name
    else:
        left.add("shapes are points, lines, cuboids or skeletons and are left out",
                 f"{where} ({shape.tag})")  # fmt: skip


def _turned(path: Path, shape: Element) -> NDArray[np.float64]:
    """Return the corners of a box that is turned by degrees about its centre."""
    x1, y1, x2, y2 = (_number(path, shape, key) for key in ("xtl", "ytl", "xbr", "ybr"))
    angle = math.radians(_number(path, shape, "rotation"))
    centre = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]) - centre
    cos, sin = math.cos(angle), math.sin(angle)
    turned: NDArray[np.float64] = corners @ np.array([[cos, sin], [-sin, cos]]) + centre
    return turned


def _points(path: Path, shape: Element) -> NDArray[np.float64]:
    written = shape.get("points") or ""
    try:
        points = np.array([[float(v) for v in pair.split(",")] for pair in written.split(";")])
        points = points.reshape(-1, 2)
    except (ValueError, OverflowError):
        points = np.zeros((0, 2))
    if len(points) < 3 or not np.isfinite(points).all():
        raise DataError(f"{path}: the polygon {written[:60]!r} has no three corners 'x,y;x,y;x,y'")
    return points


def _mask(path: Path, shape: Element, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a mask from run lengths along the rows of its box, which begin with background."""
    left, top, width, height = (
        int(_number(path, shape, key)) for key in ("left", "top", "width", "height")
    )
    try:
        runs = [int(n) for n in (shape.get("rle") or "").replace(",", " ").split()]
    except (ValueError, OverflowError):
        runs = []
    inside = left >= 0 and top >= 0 and left + width <= size[0] and top + height <= size[1]
    if sum(runs) != width * height or not inside or min(runs, default=0) < 0:
        raise DataError(f"{path}: a mask's 'rle' does not add up to its box, or lies outside")
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    whole = np.zeros((size[1], size[0]), np.bool_)
    whole[top : top + height, left : left + width] = values
    return whole


def _number(path: Path, element: Element, key: str) -> float:
    try:
        value = float(element.get(key) or "")
    except (ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value) or abs(value) > 1e6:
        raise DataError(f"{path}: {key}={element.get(key)!r} of a <{element.tag}> is no number")
    return value
