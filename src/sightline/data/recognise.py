"""Find out what a path holds, and read it by the format that it has."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from sightline.data import archive, files, images, place, scan, unused
from sightline.data.bounds import Bounds
from sightline.data.dataset import Dataset
from sightline.data.split_names import split_of
from sightline.errors import (
    DataError,
    ParameterError,
    UnknownNameError,
    closest,
    is_url,
    missing,
    nearest,
)
from sightline.types import Progress

LAYOUTS = (
    "packed", "coco", "voc", "cvat", "labelme", "label_studio", "yolo", "mvtec", "masks", "csv",
    "parquet", "folder", "webdataset",
)  # fmt: skip
"""Formats of folders, asked in this order; each is the module of that name here."""


BARE = "photographs"
"""Format of pictures of which nothing is known: taken when named, or where nothing else lies."""


def names() -> dict[str, str]:
    """Return every built-in and downloadable name, with a line about it."""
    from sightline.data.download import CATALOGUE

    embedded = {
        "digits": "handwritten digits, 8x8, 10 classes, 1,797 images (embedded)",
        "shapes": "drawn scenes with boxes and masks (embedded; shapes:count=400,size=128)",
        "textures": "a drawn surface, good and with defects and their masks (embedded; "
        "textures:count=320,size=128)",
    }
    return embedded | {
        name: f"{card.title} ({card.megabytes:,} MB download)" for name, card in CATALOGUE.items()
    }


@dataclass(slots=True)
class Table:
    """What the user says of a table, and whether there was one to say it of."""

    root: str | Path | None
    columns: Mapping[str, str] | None
    group: str | None = None
    used: bool = False

    def take_group(self, names: Iterable[Any]) -> None:
        """Make the group one of the columns' roles, where it is one of the table's columns."""
        if self.group is not None and self.group in names:
            self.columns, self.group = {**(self.columns or {}), "group": self.group}, None

    def options(self) -> dict[str, Any]:
        """Return what the reader of a table takes."""
        self.used = True
        root = None if self.root is None else Path(self.root).expanduser().resolve()
        if root is not None and not root.is_dir():
            raise DataError(f"root={str(self.root)!r} is no folder")
        return {"root": root, "named": dict(self.columns or {})}

    def refuse_unused(self, loaded: Dataset) -> None:
        """Refuse options of a table for data that is none."""
        for name in ("root", "columns"):
            if getattr(self, name) is not None and not self.used:
                raise ParameterError(f"{name} belongs to tables; {loaded.name} is none")


_TABLE = re.compile(r"(.*\.(?:csv|tsv|parquet|pq)):(.+)", re.IGNORECASE | re.DOTALL)


def by_path(
    text: str, layout: str | None, table: Table, progress: Progress | None, allow_outside: bool
) -> Dataset:
    """Read a folder, an archive or a file; see `sightline.data.load.load_data`."""
    path = Path(text).expanduser()
    if not text:
        raise ParameterError("data is an empty name; name a data set or a folder")
    path = Path(place.locate("", str(path)) or path)  # an accent in one piece or in parts
    behind = None if path.exists() else _TABLE.fullmatch(text)
    if behind:
        from sightline.data import image_table

        path, options = Path(behind[1]).expanduser(), image_table.parsed(behind[2])
        table.root = options.pop("root", table.root)
        table.columns = {**options, **(table.columns or {})}
    if not path.exists():
        like_a_name = path.parent == Path() and path.suffix == "" and not is_url(text)
        beside = nearest(path)
        known = [*names(), *([] if beside is None else [beside.name])]
        if like_a_name and (beside is None or closest(path.name, known) != beside.name):
            raise UnknownNameError("data set", path.name.partition(":")[0], names())
        raise DataError(missing(text, "no such file or folder, and no built-in data set"))
    packed = path.is_file() and archive.is_archive(path)
    name = _name_of(path)
    if path.is_file() and not packed:
        return _by_file(path.resolve(), name, table, layout, allow_outside)
    # The path as the user gave it must not decide over the cache, so it is made absolute.
    folder = (archive.unpack(path, progress) if packed else path).resolve()
    with scan.once():
        inner = folder if layout == "packed" else _unwrapped(folder)
        module, others = _module(inner, layout)
        loaded = _read(module, inner, name, table, Bounds(inner, packed, allow_outside))
        if inner != folder:
            said = inner.relative_to(folder).as_posix()
            loaded.notes.insert(0, f"{said}/ is read, the only folder in {path.name}")
        if others:
            loaded.notes.append(
                f"read as {loaded.layout}; it can also be read with layout={' or '.join(others)}"
            )
        if loaded.layout not in _WITHOUT_LEFT_OVERS:
            loaded.notes += unused.notes(loaded, folder)
    return loaded


_ANNOTATIONS = ("coco", "voc", "yolo")
_WITHOUT_LEFT_OVERS = ("packed", "webdataset")
_BOUNDED = ("coco", "yolo", "csv", "parquet", "label_studio", "cvat", "labelme")
_LENIENT = ("masks",)
"""Formats that are read though parts cannot be used, which is noted, as the audit names them."""

_DESCRIPTIONS = {
    ".yaml": ("yolo",), ".yml": ("yolo",), ".json": ("coco", "label_studio", "labelme"),
    ".xml": ("cvat",),
}  # fmt: skip
"""Formats that one file describes, by its ending."""


def _name_of(path: Path) -> str:
    """Return what a data set is called: its folder, or its file without the ending."""
    if not path.is_file():
        return path.resolve().name or "data"
    suffix = next((s for s in archive.SUFFIXES if path.name.lower().endswith(s)), path.suffix)
    return path.name[: len(path.name) - len(suffix)] or path.name


def _unwrapped(folder: Path) -> Path:
    """Return the folder that a lone folder leads to, as unpacked archives often have one."""
    for _ in range(scan.MAX_DEPTH):
        names = scan.subfolders(folder)
        beside = [n for n in files.names_in(folder) if scan.visible(n) and n not in names]
        if len(names) != 1 or split_of(names[0]):
            return folder
        inner = folder / names[0]
        if any(_speaks(folder / n) and not images.is_image(n) for n in beside):
            return folder
        if any(map(images.is_image, beside)) and not _holds_classes(inner):
            return folder
        if any(map(images.is_image, files.names_in(inner))) and not any(
            _speaks(inner / n) and not images.is_image(n) for n in files.names_in(inner)
        ):
            return folder  # a folder of images: a class
        if not files.names_in(inner):
            return folder
        folder = inner
    return folder


_ABOVE = 3
"""Folders in which the images of a description are looked for: its own, and two above."""

_PROSE = ("readme", "license", "licence", "notice", "about", "citation")


def _holds_classes(folder: Path) -> bool:
    """Tell whether several folders of images lie in a folder."""
    inner = [folder / name for name in scan.subfolders(folder)]
    return sum(any(map(images.is_image, files.names_in(one))) for one in inner) > 1


def _speaks(path: Path) -> bool:
    """Tell whether a file beside a folder belongs to the data: an image, a list, a description."""
    if _is_prose(path):
        return False
    return images.is_image(path.name) or path.suffix.lower() in (
        ".yaml", ".yml", ".json", ".xml", ".csv", ".tsv", ".parquet", ".txt", ".names", ".data",
        ".tar", ".npz",
    )  # fmt: skip


def _read(
    module: ModuleType, folder: Path, name: str, table: Table, bounds: Bounds, **more: Any
) -> Dataset:
    layout = module.__name__.rpartition(".")[2]
    if layout in ("csv", "parquet"):
        more |= table.options()
    if layout in _BOUNDED:
        more["bounds"] = bounds
    if layout in _LENIENT:
        more["strict"] = False
    loaded: Dataset = module.read(folder, name, **more)
    return loaded


def _by_file(
    path: Path, name: str, table: Table, layout: str | None, allow_outside: bool
) -> Dataset:
    """Read a table, arrays, or the file that describes a data set."""
    from sightline.data import arrays, csv, parquet

    suffix = path.suffix.lower()
    if suffix == arrays.SUFFIX:
        if layout is not None:
            raise ParameterError(f"layout={layout!r} belongs to folders; {path.name} is arrays")
        return arrays.read_npz(path, name)
    if suffix in _DESCRIPTIONS:
        return _by_description(path, layout, table, allow_outside)
    reader = csv if suffix in csv.SUFFIXES else parquet if suffix in parquet.SUFFIXES else None
    if reader is None:
        raise DataError(
            f"{path} is neither a folder, a table (.csv, .tsv, .parquet), arrays (.npz), a "
            f"description ({', '.join(_DESCRIPTIONS)}) nor an archive "
            f"({', '.join(archive.SUFFIXES)})"
        )
    if layout is not None and layout != reader.__name__.rpartition(".")[2]:
        raise ParameterError(f"layout={layout!r} belongs to folders; {path.name} is a table")
    if table.group is not None:
        table.take_group(reader.read_columns(path))
    return _read(reader, path, name, table, Bounds(path.parent, False, allow_outside))


def _by_description(path: Path, layout: str | None, table: Table, allow_outside: bool) -> Dataset:
    """Read the data set that one file describes: a YAML, JSON or XML of a known form."""
    names = _DESCRIPTIONS[path.suffix.lower()]
    if layout is not None and layout not in names:
        raise ParameterError(f"layout={layout!r} is not described by a {path.suffix} file")
    with scan.once():
        reasons = {n: _import(n).why_not_file(path) for n in ((layout,) if layout else names)}
        for name, why in reasons.items():
            if why is None:
                folder = _with_images(path)
                bounds = Bounds(folder, False, allow_outside)
                own = folder.name or path.stem
                return _read(_import(name), folder, own, table, bounds, described=path)
    said = "; ".join(f"{name}: {why}" for name, why in reasons.items())
    raise DataError(f"{path} describes no data set that is read ({said})")


def _with_images(path: Path) -> Path:
    """Return the folder of a file, or the next above it that has images in or below it."""
    above = list(path.parents)[:_ABOVE]
    return next((folder for folder in above if scan.tree(folder).images), path.parent)


def _module(folder: Path, layout: str | None) -> tuple[ModuleType, list[str]]:
    """Return the module of a folder's layout, and which annotation formats it has beside."""
    if layout is not None:
        if layout not in (*LAYOUTS, BARE):
            raise UnknownNameError("layout", layout, (*LAYOUTS, BARE))
        return _import(layout), []
    for name in LAYOUTS:
        if _import(name).why_not(folder) is None:
            later = [n for n in _ANNOTATIONS if LAYOUTS.index(n) > LAYOUTS.index(name)]
            return _import(name), [
                n for n in later if name in _ANNOTATIONS and _import(n).why_not(folder) is None
            ]
    listed = scan.tree(folder)
    if listed.images and all(_is_prose(Path(file)) for file in listed.others):
        return _import(BARE), []
    raise DataError(f"{folder}: not recognised as a data set; {unrecognised(folder)}")


def unrecognised(folder: Path) -> str:
    """Say what a folder holds, and why it has none of the formats."""
    with scan.once():
        said = "; ".join(f"{name}: {_import(name).why_not(folder)}" for name in LAYOUTS)
        return f"it holds {scan.tree(folder).summary()} ({said})"


def _is_prose(path: Path) -> bool:
    return path.stem.lower().startswith(_PROSE)


def _import(layout: str) -> ModuleType:
    return importlib.import_module(f"sightline.data.{layout}")
