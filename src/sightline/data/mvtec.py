"""Read pictures of defects as MVTec's: ``train/good``, ``test/good``, ``test/DEFECT``, masks.

The masks lie in ``ground_truth/DEFECT``, called as their picture or ``NAME_mask.png``; they may be
missing. Source: P. Bergmann et al., MVTec AD: a comprehensive real-world dataset for unsupervised
anomaly detection, 2019.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from sightline.counting import counted
from sightline.data import files, images, masks, pairs, scan
from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset, Rows, Source
from sightline.data.item import Item
from sightline.data.normal import is_normal, normal_class
from sightline.data.notes import Note, lost
from sightline.data.split_names import split_of
from sightline.errors import DataError
from sightline.types import Progress, Task

TRUTH = ("ground_truth", "groundtruth", "ground truth", "gt", "masks", "mask")
"""What the folder of masks is called."""

DEFECT = "defect"
"""What the changed pixels of any kind of defect are called."""

JUDGED = 5
"""Of so many pictures of each kind of defect one is put with the validation images."""


def why_not(folder: Path) -> str | None:
    """Return what keeps a folder from being laid out as MVTec's; None when nothing does."""
    parts = _parts(folder)
    if "train" not in parts or not (others := [part for part in parts if part != "train"]):
        return "no train/ and test/"
    taught = scan.subfolders(folder / parts["train"])
    if not taught or not all(map(is_normal, taught)):
        return "train/ has other folders than one of good pictures"
    inside = [name for part in others for name in scan.subfolders(folder / parts[part])]
    if not any(not is_normal(name) for name in inside) and _truth(folder) is None:
        return "no folder of defects in test/"
    return None


def read(folder: Path, name: str) -> Dataset:
    """Read pictures of defects.

    Where no picture of a defect is for validation, every fifth of each kind of the test's is, as
    methods are chosen by it; a note says so.

    Raises
    ------
    DataError
        When there is no good picture to learn from, or several classes are called as good ones.
    """
    parts = _parts(folder)
    pictures: dict[str, dict[str, list[str]]] = {
        split: _by_kind(folder / place) for split, place in parts.items()
    }
    kinds = sorted({kind for by_kind in pictures.values() for kind in by_kind})
    kinds.sort(key=lambda kind: not is_normal(kind))
    if normal_class(kinds) is None or not any(pictures["train"].values()):
        raise DataError(f"{folder}/{parts['train']} has no good picture to learn from")
    truth = _truth(folder)
    known = _masks(folder / truth) if truth else {}
    items: list[Item] = []
    rows: dict[str, list[int]] = defaultdict(list)
    bare: list[str] = []
    for split, by_kind in pictures.items():
        for kind in kinds:
            for file in by_kind.get(kind, ()):
                rows[split].append(len(items))
                annotation = _annotation(kind, file, known)
                relative = f"{parts[split]}/{kind}/{file}"
                if annotation is None:
                    bare.append(relative)
                path = f"{folder}/{relative}"
                items.append(Item(relative, path, kinds.index(kind), annotation))
    notes: list[str] = []
    if bare:
        notes.append(_unmasked(bare, truth))
    used = {str(i.annotation.semantic) for i in items if isinstance(i.annotation, Annotation)}
    alone = sorted({m for of_kind in known.values() for m in of_kind.values()} - used)
    if alone:
        notes.append(lost(
            counted(len(alone), "mask has no picture", "masks have no picture"), count=len(alone),
            examples=alone[:5], kind="mask-without-image", mend="add the picture of the mask",
        ))  # fmt: skip
    held = {split: np.array(r, np.int64) for split, r in rows.items() if r}
    return Dataset(
        name=name,
        source=Source(items, "RGB"),
        rows=_with_defects_to_choose_by(held, items, notes),
        classes=tuple(kinds),
        tasks=(Task.ANOMALY,),
        segmentation_classes=(kinds[0], DEFECT),
        notes=notes,
        path=str(folder),
        layout="mvtec",
    )


def write(data: Dataset, out: Path, progress: Progress | None = None) -> None:
    """Write ``SPLIT/KIND`` and ``ground_truth/KIND/NAME_mask.png``.

    Raises
    ------
    DataError
        When the data does not tell good pictures from defects.
    """
    if Task.ANOMALY not in data.tasks:
        raise DataError(f"{data.name} does not tell good pictures from defects")
    stems = files.stems(data.source.items)
    done, total = 0, sum(len(rows) for rows in data.rows.values())
    for split, rows in data.rows.items():
        for row in rows.tolist():
            item = data.source.items[row]
            kind = data.classes[item.label]
            files.put(item, data, out / split / kind, stems[row], files.WIDELY_READ)
            annotation = item.read_annotation()
            if annotation is not None and not is_normal(kind):
                width, height = files.size_of(item, annotation)
                defect = data.segmentation(row, (height, width)).label_map == 1
                mask = images.as_picture(np.where(defect, 255, 0).astype(np.uint8)[..., None])
                place = out / TRUTH[0] / kind / f"{stems[row]}_mask.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                mask.save(place)
            done += 1
            if progress:
                progress(done, total)


def _parts(folder: Path) -> dict[str, str]:
    """Return the folder of each split."""
    return {split: name for name in scan.subfolders(folder) if (split := split_of(name))}


def _truth(folder: Path) -> str | None:
    """Return the name of the folder of masks."""
    return next((n for n in scan.subfolders(folder) if n.casefold() in TRUTH), None)


def _by_kind(folder: Path) -> dict[str, list[str]]:
    """Return the pictures in each folder of a split, as paths below it."""
    made: dict[str, list[str]] = defaultdict(list)
    for file in scan.tree(folder).images:
        kind, inside, rest = file.partition("/")
        if inside:
            made[kind].append(rest)
    return dict(made)


def _masks(folder: Path) -> dict[str, dict[str, str]]:
    """Return the mask of each stem of each kind of defect."""
    made: dict[str, dict[str, str]] = defaultdict(dict)
    for file in scan.tree(folder).images:
        # Of ground_truth/test/DEFECT the folder of the split says nothing.
        inner = file.split("/")
        inner = inner[1:] if len(inner) > 2 and split_of(inner[0]) else inner
        if len(inner) < 2:
            continue
        for stem in masks.stems_of("/".join(inner[1:])):
            made[inner[0]].setdefault(stem, f"{folder}/{file}")
    return made


def _annotation(kind: str, file: str, known: dict[str, dict[str, str]]) -> Annotation | None:
    """Return what is known of a picture's pixels: of a good one, that none is changed."""
    if is_normal(kind):
        return Annotation(shapes=[])
    mask = known.get(kind, {}).get(pairs.stem_of(file))
    return None if mask is None else Annotation(semantic=mask, semantic_binary=True)


def _unmasked(bare: list[str], truth: str | None) -> Note:
    where = f"{truth}/" if truth else "there is no ground_truth/, and"
    return Note(
        counted(len(bare), "picture of a defect has", "pictures of defects have")
        + f" no mask ({where if truth else where.rstrip(', and')}): where the defects lie is not "
        "measured there",
        kind="no-mask", severity="warning", count=len(bare), examples=bare[:5],
        mend="add ground_truth/DEFECT/NAME_mask.png, 255 where the defect is",
    )  # fmt: skip


def _with_defects_to_choose_by(
    rows: dict[str, Rows], items: list[Item], notes: list[str]
) -> dict[str, Rows]:
    """Put some of the test's defects with the validation images, where these have none."""
    val, test = rows.get("val"), rows.get("test")
    if test is None or (val is not None and any(items[row].label for row in val)):
        return rows
    moved = []
    for kind in sorted({items[row].label for row in test} - {0}):
        own = [row for row in test.tolist() if items[row].label == kind]
        moved += own[JUDGED - 1 :: JUDGED] or own[:1] * (len(own) > 1)
    if not moved:
        return rows
    train = rows["train"].tolist()
    held = [] if val is not None else train[9::10] or train[-1:] * (len(train) > 2)
    notes.append(
        f"validation is every fifth picture of each kind of defect in test, {len(moved)} in all, "
        "as methods are chosen by it"
        + (f", and {counted(len(held), 'good picture')} of train" if held else "")
    )
    kept = {**rows, "test": np.setdiff1d(test, moved), "train": np.setdiff1d(train, held)}
    return kept | {"val": np.union1d(np.array(held if val is None else val, np.int64), moved)}
