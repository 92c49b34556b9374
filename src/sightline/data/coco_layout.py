"""Find the files of a COCO set: its JSON files by split, and the images that they name."""

from __future__ import annotations

import collections
import mmap
from collections.abc import Sequence
from pathlib import Path

from sightline.data import files, scan
from sightline.data.bounds import Bounds
from sightline.data.place import locate
from sightline.data.split_names import SPLITS, split_in, split_of_path
from sightline.errors import DataError

_OTHER_KINDS = ("captions", "panoptic", "person_keypoints", "image_info", "stuff", "unlabeled")


def json_files(folder: Path) -> list[Path]:
    """Find the COCO files below a folder by their content; ``instances*`` before others."""
    listed = scan.tree(folder)
    paths = [
        Path(listed.path(file)) for file in listed.ending(".json")
        if not file.rsplit("/", 1)[-1].startswith(_OTHER_KINDS)
    ]  # fmt: skip
    paths = [path for path in paths if is_coco(path)]
    return [path for path in paths if path.name.startswith("instances")] or paths


def by_split(folder: Path, documents: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the JSON files of each split, by their name, else by their folder; train comes first.

    A lone file is train, and so are several of which none says a split.

    Raises
    ------
    DataError
        When only some of several say a split.
    """
    if len(documents) == 1:
        return {"train": list(documents)}
    named: dict[str | None, list[Path]] = collections.defaultdict(list)
    for path in documents:
        below = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
        named[split_in(path.stem) or split_of_path(below)].append(path)
    if None in named and len(named) > 1:
        raise DataError(
            f"{named[None][0]}: its name tells no split; name it instances_train.json, "
            "instances_val.json or instances_test.json"
        )
    if None in named:
        return {"train": named[None]}
    return {split: named[split] for split in SPLITS if split in named}


def image_paths(page: Path, names: list[str], split: str, bounds: Bounds) -> list[str]:
    """Find every image that a COCO file names; each folder is listed once.

    Raises
    ------
    DataError
        When images are missing, or lie outside the folder.
    """
    folder = bounds.root
    year = page.stem.removeprefix("instances_")
    inner = ["", *(f"{a}{b}" for a in ("", "images/") for b in (year, split, "valid")), "images"]
    places = [str(page.parent), *(str(folder / p) for p in (*inner, "JPEGImages"))]
    below = scan.tree(folder)
    listed: dict[str, dict[str, str]] = {}
    paths: list[str] = []
    missing: list[str] = []
    for written in names:
        name = written.replace("\\", "/")
        if name.startswith("/") or ".." in name or ":" in name:
            path = bounds.find(written, places, str(page))
        else:
            path = _listed(name, places, listed)
        if path is None:
            same = below.named().get(scan.composed(name.rsplit("/", 1)[-1]), [])
            path = same[0] if len(same) == 1 else None
        if path is None:
            missing.append(written)
        else:
            paths.append(path)
    if missing:
        raise DataError(
            f"{page}: {len(missing):,} of {len(names):,} images are not on disk, the "
            f"first {missing[0]!r}; looked below {folder} and its images/, {year}/ and {split}/"
        )
    return paths


def _listed(name: str, places: list[str], listed: dict[str, dict[str, str]]) -> str | None:
    for place in places:
        head, _, tail = f"{place}/{name}".rpartition("/")
        if head not in listed:
            below = head[len(place) :].strip("/")
            there = locate(place, below) or head if below else head
            listed[head] = {scan.composed(n): f"{there}/{n}" for n in files.names_in(there)}
        if (path := listed[head].get(scan.composed(tail))) is not None:
            return path
    return None


def is_coco(path: Path) -> bool:
    """Tell by its keys, without parsing, whether a file is COCO JSON: some have half a gigabyte."""
    try:
        with path.open("rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as text:
            return text.find(b'"images"') >= 0 and text.find(b'"annotations"') >= 0
    except (OSError, ValueError):
        return False
