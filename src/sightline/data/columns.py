"""Find what the columns of a table of images mean: pictures, labels, splits, groups and boxes.

A table is a mapping of names to lists of equal length, wherever it came from. A column is found by
its name (``filename``, ``label``, ``xmin`` ...), or named by the user.
"""

from __future__ import annotations

import math
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.data import images, place, split_names
from sightline.data.bounds import Bounds
from sightline.data.memory import text_of
from sightline.errors import DataError, ParameterError, UnknownNameError

Table = Mapping[str, Sequence[Any]]

ROLES = ("image", "label", "value", "split", "group", "box", "form")
"""What a user may name: columns, of ``box`` one or four joined by ``+``, and the form of boxes."""

FORMS = ("xyxy", "xywh", "cxcywh")
"""Corners; a corner with width and height; the centre with width and height."""

# By what columns are called, most telling first; compared without case, blanks and signs.
_IMAGE = (
    "path", "filepath", "imagepath", "imgpath", "file", "filename", "imagefile", "imagefilename",
    "paths", "filepaths", "files", "filenames", "images",
    "imagename", "imgname", "image", "img", "picture", "photo", "imageid", "imgid", "patientid",
    "id", "路径", "图片路径", "图像路径", "文件路径", "文件", "文件名", "图片", "图像", "照片",
)  # fmt: skip
_LABEL = (
    "label", "labelname", "class", "classname", "category", "categoryname", "target", "species",
    "breed", "diagnosis", "tag", "labels", "classes", "tags", "y", "labelid", "classid",
    "categoryid", "标签", "类别", "类", "分类", "种类",
)  # fmt: skip
_VALUE = (
    "value", "values", "age", "weight", "dose", "score", "rating", "price", "数值", "年龄", "重量",
    "剂量", "评分", "价格",
)  # fmt: skip
_SPLIT = ("split", "set", "subset", "partition", "dataset", "usage", "集合", "划分", "数据集")
_GROUP = ("group", "groups", "groupid", "分组")
_WIDTH = ("width", "imagewidth", "imgwidth", "w")
_HEIGHT = ("height", "imageheight", "imgheight", "h")
_BOX = ("bbox", "box", "boundingbox", "bboxes", "boxes", "annotations")
_CORNERS = (
    ("xyxy", ("xmin", "ymin", "xmax", "ymax")),
    ("xyxy", ("x1", "y1", "x2", "y2")),
    ("xyxy", ("x0", "y0", "x1", "y1")),
    ("xyxy", ("left", "top", "right", "bottom")),
    *(("cxcywh", (*centre, *size))
      for centre in (("xcenter", "ycenter"), ("centerx", "centery"), ("cx", "cy"), ("xc", "yc"))
      for size in (("w", "h"), ("width", "height"))),
    *(("xywh", (*corner, *size))
      for corner in (("x", "y"), ("xmin", "ymin"), ("left", "top"))
      for size in (("w", "h"), ("width", "height"))),
)  # fmt: skip
_NUMBERS = ("", "index", "unnamed0", "row", "no", "序号")


@dataclass(frozen=True, slots=True)
class Roles:
    """The columns of a table by what they mean.

    Parameters
    ----------
    image : str
    label, split, group : str, optional
    one_hot : tuple of str
        Columns of which each is a class, 1 where the image belongs to it.
    box : tuple of str
        Four columns, or one that holds the four numbers.
    form : {"xyxy", "xywh", "cxcywh"}
        Of the boxes.
    size : (width, height), optional
        Columns of the image's size in pixels.
    value : str, optional
        A column of numbers, where these are what is asked for.
    """

    image: str
    label: str | None = None
    split: str | None = None
    group: str | None = None
    one_hot: tuple[str, ...] = ()
    box: tuple[str, ...] = ()
    form: str = "xywh"
    size: tuple[str, str] | None = None
    value: str | None = None


def roles(table: Table, named: Mapping[str, str], where: str, root: Path) -> Roles:
    """Return which column means what.

    Parameters
    ----------
    table : mapping of str to sequence
    named : mapping of str to str
        What the user says of it; see `ROLES`.
    where : str
        Begins the message of an error.
    root : path
        Folder in which images are looked for.

    Raises
    ------
    UnknownNameError
        When there is no column, or no role, of a given name.
    DataError
        When the column of images or of labels cannot be told.
    """
    for role, name in named.items():
        if role not in ROLES:
            raise UnknownNameError("role of a column", role, ROLES)
        for column in str(name).split("+") if role != "form" else ():
            if column not in table:
                raise UnknownNameError(f"column of {where}", column, table)
    if (form := named.get("form", "xywh")) not in FORMS:
        raise UnknownNameError("form of boxes", form, FORMS)
    plain = {column: _plain(column) for column in reversed(list(table))}
    by_plain = {text: column for column, text in plain.items()}
    box, form = _box(by_plain, named)
    image = named.get("image") or _first(by_plain, _IMAGE) or _of_files(table, root)
    if image is None:
        raise DataError(
            f"{where}: no column of images among {', '.join(map(repr, table))}; name it: "
            "columns={'image': ...}, or FILE:image=COLUMN"
        )
    size = _first(by_plain, _WIDTH[:3]), _first(by_plain, _HEIGHT[:3])
    used = {image, *box}
    split = named.get("split") or _split_in(table, by_plain, used)
    group = named.get("group") or _first(by_plain, _GROUP)
    used |= {c for c in (split, group) if c}
    free = {text: c for text, c in by_plain.items() if c not in used}
    label = named.get("label") or _first(free, _LABEL)
    value = None if box else _value(table, named, label, free)
    label = None if value else label
    one_hot: tuple[str, ...] = ()
    if label is None and not box and value is None:
        rest = [
            c for c in table if c not in used and plain[c] not in (*_NUMBERS, *_WIDTH, *_HEIGHT)
        ]
        if len(rest) == 1:
            label = rest[0]
        elif len(rest) > 1 and all(_is_flag(value) for c in rest for value in table[c]):
            one_hot = tuple(rest)
        else:
            raise DataError(
                f"{where}: no column of labels among {', '.join(map(repr, table))}; name it: "
                "columns={'label': ...}, or FILE:label=COLUMN"
            )
    whole = (str(size[0]), str(size[1])) if all(size) and not {*size} & used else None
    return Roles(image, label, split, group, one_hot, box, form, whole, value)


def _value(
    table: Table, named: Mapping[str, str], label: str | None, free: Mapping[str, str]
) -> str | None:
    """Return the column of the numbers that are asked for; None where classes are.

    It is the one that is named; or labels that are numbers with fractions; or, without labels, a
    column that is called as numbers are.
    """
    if "value" in named:
        return named["value"]
    if "label" in named:
        return None
    if label is not None:
        return label if _has_fractions(table[label]) else None
    column = _first(free, _VALUE)
    return column if column is not None and all(map(_is_number, table[column])) else None


def _is_number(value: Any) -> bool:
    """Tell whether a cell is a number, or empty."""
    text = text_of(value)
    try:
        return not text or math.isfinite(float(text))
    except ValueError:
        return False


def _has_fractions(values: Sequence[Any]) -> bool:
    """Tell whether all cells are numbers, and most of them no whole ones."""
    if not all(map(_is_number, values)):
        return False
    numbers = [float(text) for value in values if (text := text_of(value))]
    return 2 * sum(not number.is_integer() for number in numbers) > len(numbers)


def label_in(names: Iterable[str]) -> str | None:
    """Return the column that is called as labels are, else the only one there is."""
    by_plain = {_plain(name): name for name in names}
    single = next(iter(by_plain.values())) if len(by_plain) == 1 else None
    return _first(by_plain, _LABEL) or single


def looks_like_images(table: Table, *, strictly: bool = False) -> bool:
    """Tell by the names of columns whether a table lists images with labels or boxes.

    Parameters
    ----------
    table : mapping
        Its values are not looked at.
    strictly : bool
        Whether the column of labels must have a name that says so.
    """
    by_plain = {_plain(column): column for column in table}
    box, _ = _box(by_plain, {})
    image = _first(by_plain, _IMAGE)
    return image is not None and bool(
        box
        or _first(by_plain, [name for name in _LABEL if name != "y" or not strictly])
        or (not strictly and len(table) == 2)
    )


def split_of(value: Any) -> str | None:
    """Return the split that a cell names: train, val or test; None where it names none."""
    return split_names.split_of(text_of(value))


class Files:
    """Finds the files that a table names: by path, else by their own name, with ending or without.

    Parameters
    ----------
    root : path
        What paths are relative to; below it names are looked for.
    bounds : Bounds, optional
        Where files may lie; default: anywhere, as for a table that a program holds.
    where : str
        What errors call the table.
    """

    def __init__(self, root: Path, bounds: Bounds | None = None, where: str = "") -> None:
        self.root, self.bounds, self.where = root, bounds, where
        self._below: dict[str, list[str]] | None = None
        self.ambiguous: list[str] = []

    def find(self, name: str) -> str | None:
        """Return the path of a file; None where it is missing, or several have its name."""
        if self.bounds is None:
            path = place.locate(self.root, name)
        else:
            path = self.bounds.find(name, [self.root], self.where)
        if path is not None and os.path.isfile(path):  # noqa: PTH113 - a Path a file takes longer
            return path
        own = unicodedata.normalize("NFC", name.replace("\\", "/").rsplit("/", 1)[-1])
        below = self.below()
        for key in (own, own.rsplit(".", 1)[0]) if images.is_image(own) else (own,):
            paths = below.get(key, [])
            if len(paths) == 1:
                return paths[0]
            if len(paths) > 1:
                self.ambiguous.append(name)
                return None
        return None

    def below(self) -> dict[str, list[str]]:
        """Return the images below the root by name, and by name without ending."""
        if self._below is None:
            self._below = {}
            for under, inner, names in os.walk(self.root):
                inner[:] = sorted(n for n in inner if not n.startswith("."))
                for name in sorted(names):
                    if images.is_image(name) and not name.startswith("."):
                        own = unicodedata.normalize("NFC", name)
                        for key in {own, own.rsplit(".", 1)[0]}:
                            self._below.setdefault(key, []).append(f"{under}/{name}")
        return self._below


def _plain(column: str) -> str:
    """Return a column's name in small letters, without blanks and signs, nor *bbox* before it."""
    text = "".join(c for c in str(column).casefold() if c.isalnum())
    for before in ("bbox", "box"):
        if text.startswith(before) and text != before:
            return text.removeprefix(before)
    return text


def _first(by_plain: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((by_plain[name] for name in names if name in by_plain), None)


def _box(by_plain: Mapping[str, str], named: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    form = named.get("form")
    if "box" in named:
        columns = tuple(named["box"].split("+"))
        if len(columns) not in (1, 4):
            raise ParameterError(
                f"box={named['box']!r} names {len(columns)} columns; a box is one column or four, "
                "such as left+top+right+bottom"
            )
        return columns, form or ("xyxy" if len(columns) == 4 else "xywh")
    for kind, corners in _CORNERS:
        if all(name in by_plain for name in corners):
            return tuple(by_plain[name] for name in corners), form or kind
    single = _first(by_plain, _BOX)
    return ((single,) if single else ()), form or "xywh"


def _split_in(table: Table, by_plain: Mapping[str, str], used: set[str]) -> str | None:
    """Return a column that is called as splits are, and names at least one."""
    for name in _SPLIT:
        column = by_plain.get(name)
        if column and column not in used and any(split_of(value) for value in table[column]):
            return column
    return None


def _of_files(table: Table, root: Path) -> str | None:
    """Return the first column whose first cells are pictures or names of image files."""
    for column, values in table.items():
        some = [value for value in list(values)[:20] if value is not None]
        if some and all(_is_picture(value, root) for value in some):
            return column
    return None


def _is_picture(value: Any, root: Path) -> bool:
    if isinstance(value, str | Path):
        return images.is_image(str(value)) or (root / str(value)).is_file()
    return (
        isinstance(value, bytes)
        or hasattr(value, "convert")
        or len(getattr(value, "shape", ())) in (2, 3)
        or (isinstance(value, dict) and {"bytes", "path"} <= value.keys())
    )


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | int | float | str) and text_of(value) in (
        "0", "1", "True", "False",
    )  # fmt: skip
