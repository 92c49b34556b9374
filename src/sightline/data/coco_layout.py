"""Find the files of a COCO set: its JSON files by split, and the images that they name."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

from sightline.data import files
from sightline.data.folder import SPLIT_NAMES
from sightline.errors import DataError

_OTHER_KINDS = ("captions", "panoptic", "person_keypoints", "image_info", "stuff", "unlabeled")


def json_files(folder: Path) -> list[Path]:
    """Find the COCO files of the first place that has any: annotations/, json/, the folder."""
    for place in (folder / "annotations", folder / "json", folder):
        paths = sorted(place.glob("*.json"))
        paths = [p for p in paths if p.name.startswith("instances")] or paths
        paths = [p for p in paths if not p.name.startswith(_OTHER_KINDS) and _is_coco(p)]
        if paths:
            return paths
    inner = (p for p in sorted(folder.glob("*/*.json")) if p.parent.name.lower() in SPLIT_NAMES)
    return [p for p in inner if _is_coco(p)]


def by_split(documents: list[Path]) -> dict[str, Path]:
    """Return the JSON file of each split, by its name, else by its folder; train comes first.

    Raises
    ------
    DataError
        When one of several has no split in its name, or two are the same split.
    """
    named: dict[str, Path] = {}
    for path in documents:
        said = re.search(r"(?<![a-z])(train|val|test)", path.stem.lower())
        split = said[1] if said else SPLIT_NAMES.get(path.parent.name.lower())
        if split is None and len(documents) > 1:
            raise DataError(
                f"{path}: its name tells no split; name it instances_train.json, "
                "instances_val.json or instances_test.json"
            )
        split = split or "train"
        if split in named:
            raise DataError(f"{path} and {named[split]} are both the split {split!r}; keep one")
        named[split] = path
    return {split: named[split] for split in ("train", "val", "test") if split in named}


def image_paths(folder: Path, page: Path, names: list[str], split: str) -> list[str]:
    """Find every image that a COCO file names; each folder is listed once.

    Raises
    ------
    DataError
        When images are missing.
    """
    year = page.stem.removeprefix("instances_")
    inner = ["", *(f"{a}{b}" for a in ("", "images/") for b in (year, split, "valid")), "images"]
    places = [str(page.parent), *(str(folder / p) for p in (*inner, "JPEGImages"))]
    listed: dict[str, set[str]] = {}
    paths: list[str] = []
    missing: list[str] = []
    for name in names:
        for place in places:
            head, _, tail = f"{place}/{name}".replace("\\", "/").rpartition("/")
            if head not in listed:
                listed[head] = set(files.names_in(head))
            if tail in listed[head]:
                paths.append(f"{head}/{tail}")
                break
        else:
            missing.append(name)
    if missing:
        raise DataError(
            f"{page}: {len(missing):,} of {len(names):,} images are not on disk, the "
            f"first {missing[0]!r}; looked below {folder} and its images/, {year}/ and {split}/"
        )
    return paths


def _is_coco(path: Path) -> bool:
    """Tell by its keys, without parsing, whether a file is COCO JSON: some have half a gigabyte."""
    try:
        with path.open("rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as text:
            return text.find(b'"images"') >= 0 and text.find(b'"annotations"') >= 0
    except (OSError, ValueError):
        return False
