"""Read LabelMe: a JSON an image, which lies beside it, with the shapes that were drawn.

Source: the format of the program labelme, github.com/wkentaro/labelme.
"""

from __future__ import annotations

import base64
import math
from pathlib import Path
from typing import Any

import numpy as np

from sightline.counting import counted
from sightline.data import documents, files, images, pairs, scan, text
from sightline.data.bounds import Bounds
from sightline.data.dataset import Dataset
from sightline.data.drawn_objects import LeftOut, Picture, dataset, ellipse
from sightline.data.notes import lost
from sightline.data.place import locate
from sightline.data.split_names import split_of_path
from sightline.errors import DataError

_LOOKED_AT = 50


def why_not(folder: Path) -> str | None:
    """Return what keeps a folder from being LabelMe's; None when nothing does."""
    listed = scan.tree(folder)
    if not listed.ending(".json"):
        return "no JSON"
    if next(listed.passing(".json", _is_page, _LOOKED_AT), None) is None:
        return "no JSON with 'shapes' and 'imagePath'"
    return None


def why_not_file(path: Path) -> str | None:
    """Return what keeps a file from being one of LabelMe's."""
    return None if _is_page(path) else "no 'shapes' and 'imagePath'"


def read(
    folder: Path, name: str, *, bounds: Bounds | None = None, described: Path | None = None
) -> Dataset:
    """Read the JSON files of LabelMe; folders called as splits are these.

    Polygons, rectangles, circles and masks are read; points and lines have no area and are left
    out, which the notes say.

    Parameters
    ----------
    folder : path
    name : str
    bounds : Bounds, optional
        Where the images may lie.
    described : path, optional
        The one file to read.

    Raises
    ------
    DataError
        When a file is broken, or no image is there.
    """
    folder = folder.resolve()
    bounds = bounds or Bounds(folder)
    listed = scan.tree(folder)
    pages = [Path(listed.path(f)) for f in listed.ending(".json")]
    pages = [described] if described else [p for p in pages if _is_page(p)]
    left, pictures = LeftOut(), []
    for path in pages:
        page = documents.read_json(path)
        below = path.relative_to(folder).as_posix()
        image = _image(path, page, bounds)
        if image is None:
            left.add("annotations have no image", f"{below} ({page.get('imagePath')!r})")
            continue
        size = _pixels(page.get("imageWidth")), _pixels(page.get("imageHeight"))
        split = split_of_path(below) or "train"
        picture = Picture(files.below(image, folder), image, size, split)
        for number, shape in enumerate(_shapes(path, page), start=1):
            _add(picture, shape, f"{path}: shape {number}", left)
        for flag, on in page["flags"].items() if isinstance(page.get("flags"), dict) else ():
            if on is True and picture.label is None:
                picture.label = str(flag)
        pictures.append(picture)
    used = {picture.path for picture in pictures}
    notes: list[str] = [*left.notes()]
    folders = {path.rpartition("/")[0] for path in used}
    bare = [f for f in listed.images if (p := listed.path(f)) not in used
            and p.rpartition("/")[0] in folders] if not described else []  # fmt: skip
    if bare:
        notes.append(lost(
            counted(len(bare), "image has", "images have") + " no JSON and are left out",
            count=len(bare), examples=bare[:5], kind="unused-image",
        ))  # fmt: skip
    return dataset(name, str(folder), pictures, "labelme", notes)


def _is_page(path: Path) -> bool:
    try:
        raw = text.read_bytes(path)
    except DataError:
        return False
    return b'"shapes"' in raw and b'"imagePath"' in raw


def _image(path: Path, page: dict[str, Any], bounds: Bounds) -> str | None:
    """Return the image that a page names, else the one of its own name beside it."""
    stated = page.get("imagePath")
    if isinstance(stated, str) and stated:
        own = stated.replace("\\", "/").rsplit("/", 1)[-1]
        if own and (beside := locate(path.parent, own)) is not None:
            return beside
        image = bounds.find(stated, [path.parent], str(path))
        if image is not None and Path(image).is_file():
            return image
    stem = pairs.stem_of(path.name)
    same = [n for n in files.names_in(path.parent)
            if images.is_image(n) and pairs.stem_of(n) == stem]  # fmt: skip
    return f"{path.parent}/{same[0]}" if same else None


def _shapes(path: Path, page: Any) -> list[dict[str, Any]]:
    shapes = page.get("shapes") if isinstance(page, dict) else None
    if not isinstance(shapes, list) or not all(isinstance(s, dict) for s in shapes):
        raise DataError(f"{path}: 'shapes' is no list of shapes; save it again in LabelMe")
    return shapes


def _add(picture: Picture, shape: dict[str, Any], where: str, left: LeftOut) -> None:
    name, kind = shape.get("label"), shape.get("shape_type") or "polygon"
    try:
        points = np.array(shape.get("points"), np.float64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError):
        points = np.full((1, 2), np.nan)
    if not isinstance(name, str) or not name or not np.isfinite(points).all():
        raise DataError(f"{where} has no label, or points that are no numbers; mend it")
    if kind == "rectangle" and len(points) in (2, 4):
        (x1, y1), (x2, y2) = points.min(0).tolist(), points.max(0).tolist()
        picture.add_box(name, x1, y1, x2, y2)
    elif kind == "circle" and len(points) == 2:
        (x, y), (edge_x, edge_y) = points.tolist()
        radius = math.hypot(edge_x - x, edge_y - y)
        picture.add_polygon(name, ellipse(x, y, radius, radius))
    elif kind == "mask" and len(points) == 2 and isinstance(shape.get("mask"), str):
        picture.add_mask(name, _mask(shape["mask"], points, picture, where))
    elif kind in ("polygon", "oriented_rectangle") and len(points) >= 3:
        picture.add_polygon(name, points)
    else:
        left.add("shapes are points or lines, which have no area", f"{where} ({kind})")


def _mask(
    encoded: str, points: np.ndarray[Any, Any], picture: Picture, where: str
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return a mask of the whole image from the PNG of its box, which is written in base64."""
    try:
        pixels = images.read(base64.b64decode(encoded), "L")[..., 0] > 0
    except (ValueError, DataError):
        raise DataError(f"{where}: its mask is no PNG in base64; save it again") from None
    width, height = picture.size
    whole = np.zeros((height, width), np.bool_)
    x, y = (int(v) for v in points.min(0))
    part = pixels[: max(0, height - y), : max(0, width - x)]
    if x < 0 or y < 0 or not part.size:
        raise DataError(f"{where}: its mask lies outside the image")
    whole[y : y + part.shape[0], x : x + part.shape[1]] = part
    return whole


def _pixels(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and 0 < value < 1e6 else 0
