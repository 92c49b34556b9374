"""Read and write images with index PNGs: a class or an object's number for every pixel.

A folder of images and one of masks lie beside each other, whatever they are called: ``images/`` and
``masks/``, ``img_dir/`` and ``ann_dir/``, ``imgs/`` and ``gts/``; each with folders of splits or in
one; or ``SPLIT/`` and ``SPLITannot/`` (CamVid's). A mask has its image's stem, or that and
``_mask``, ``_gt``, ``_label`` and the like. Masks in colours are read by a file of them
(`colour_names`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.data import draw_masks, files, images, index_png, pairs, scan, split_names, text
from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.data.notes import UNUSABLE, Note, guessed, lost
from sightline.data.split_names import SPLITS, ordered, split_of, split_of_path
from sightline.errors import DataError
from sightline.types import IGNORE, Progress, Task

Kind = Literal["semantic", "instances"]
IGNORED_NAMES = frozenset(("void", "unlabelled", "unlabeled", "ignore"))
_MASKS = frozenset((".png", ".bmp", ".gif", ".tif", ".tiff"))
_LOSSY = frozenset((".jpg", ".jpeg", ".jfif", ".webp"))
_MASK_WORDS = frozenset((
    "mask", "masks", "gt", "gts", "groundtruth", "ground", "ann", "anns", "annot", "annots",
    "annotation", "annotations", "label", "labels", "seg", "segs", "segmentation",
    "segmentations", "segmentationclass", "target", "targets", "labelmap", "labelmaps", "gtfine",
    "matte", "mattes", "indexlabel", "掩码", "掩膜", "标签", "标注",
))  # fmt: skip
_IMAGE_WORDS = frozenset((
    "image", "images", "img", "imgs", "jpegimages", "picture", "pictures", "photo", "photos",
    "input", "inputs", "rgb", "frames", "original", "originals", "leftimg", "raw", "图片", "图像",
    "原图",
))  # fmt: skip
_MARKS = re.compile(
    r"^(?:mask|label|gt|seg)[-_ ]|[-_. ](?:masks?|gt|gts|labels?|seg|segmentation|annotation|"
    r"ann|annot|l|labelids|labeltrainids|gtfine_labelids|groundtruth|target|matte)$"
)
"""What marks a mask beside its image's stem, in small letters."""

_FEW_VALUES = 32
_COMPARED = 500
"""Files of a folder whose names are looked for in another."""
_SOFT = 64
"""Values that masks of two sides have along soft edges, at least."""
_SAMPLE = 16
_NEARLY_ALL = 0.9


class _Pair(NamedTuple):
    image: str
    mask: str


class _Values(NamedTuple):
    """The kind of the masks' values, and what follows from it; what was looked at in vain."""

    kind: Kind
    why: str
    binary: bool
    names: tuple[tuple[int, str], ...] = ()
    colours: tuple[int, ...] = ()
    unusable: tuple[str, ...] = ()


def why_not(folder: Path) -> str | None:
    """Return what keeps a folder from being images with masks; None when nothing does."""
    places = _places(folder)
    if not places:
        return "no images/ with masks/, no SPLIT/ with SPLITannot/"
    if not any(files.by_stem(masks, _MASKS | _LOSSY) for _, _, masks in places):
        return f"no {places[0][2].relative_to(folder)}/*.png"
    return None


def read(folder: Path, name: str, kind: Kind | None = None, *, strict: bool = True) -> Dataset:
    """Read images with masks.

    Where ``images/`` has no folders of splits, the stems in ``train.txt``, ``val.txt`` and
    ``test.txt`` tell them. ``classes.txt`` names the values, a line each from 0, or as
    ``11 unlabelled``; a value named void, unlabelled, unlabeled or ignore is ignored, and
    so is 255. Without it, all masks are read once to find the values. Where masks are in colours,
    a file such as ``class_dict.csv`` or ``label_colors.txt`` names them (`colour_names`).

    Parameters
    ----------
    folder : Path
    name : str
    kind : {"semantic", "instances"}, optional
        What the values are: classes, or numbers of objects. Default: decided by up to
        sixteen masks, and said in `Dataset.notes`. They number objects when in nearly all
        masks the values run 1..n, n differs between masks, and nearly every value is one
        connected part.
    strict : bool
        Refuse masks that are met and cannot be used: in colours that no file names, as JPEG, with
        soft edges, broken. Else a note of the kind `notes.UNUSABLE` counts them, and they are
        refused when they are drawn.

    Raises
    ------
    DataError
        When a listed image is missing, an image has no mask, or a mask cannot be read.
    """
    folder = folder.resolve()
    splits, notes = _pairs(folder)
    pairs = list(dict.fromkeys(pair for listed in splits.values() for pair in listed))
    values = _decide([p.mask for p in pairs], kind, folder)
    names = dict(values.names) if values.colours else _names(folder / "classes.txt")
    at = len(notes)
    ignored: tuple[int, ...] = ()
    if values.kind == "semantic":
        if names is None:
            names, values = _unnamed([p.mask for p in pairs], values, notes)
        ignored = tuple(v for v, n in names.items() if n.lower() in IGNORED_NAMES)
        counted = [v for v in names if v not in ignored]
        classes = tuple(names.get(v, f"class {v}") for v in range(max(counted, default=-1) + 1))
        segmentation = classes
        tasks: tuple[Task, ...] = (Task.SEGMENT,)
    else:
        named = [n for v, n in (names or {}).items() if v or n.lower() != "background"]
        classes = (named[0],) if len(named) == 1 else ("object",)
        segmentation = ("background", *classes)
        tasks = (Task.INSTANCES, Task.DETECT, Task.SEGMENT)
    if values.why:
        said = f"mask values are read as {_MEANING[values.kind]}: {values.why}"
        notes.insert(at, guessed(said))
    if values.unusable and strict:
        raise DataError(values.unusable[0])
    if values.unusable:
        notes.append(_unusable(values.unusable))
    with ThreadPoolExecutor(16) as pool:
        sizes = list(pool.map(_size, (p.mask for p in pairs)))
    items = []
    for pair, (width, height) in zip(pairs, sizes, strict=True):
        if values.kind == "semantic":
            annotation = Annotation(
                width,
                height,
                semantic=pair.mask,
                semantic_ignore=ignored,
                semantic_binary=values.binary,
                semantic_colours=values.colours,
            )
        else:
            annotation = Annotation(width, height, instances=pair.mask)
        items.append(Item(pair.image[len(str(folder)) + 1 :], pair.image, annotation=annotation))
    row = {pair: i for i, pair in enumerate(pairs)}
    return Dataset(
        name=name,
        source=Source(items, "RGB"),
        rows={s: np.array([row[p] for p in listed], np.int64) for s, listed in splits.items()},
        classes=classes,
        tasks=tasks,
        segmentation_classes=segmentation,
        notes=notes,
        path=str(folder),
        layout="masks",
    )


def write(data: Dataset, out: Path, progress: Progress | None = None) -> None:
    """Write ``images/SPLIT``, ``masks/SPLIT`` and ``classes.txt``.

    The masks hold the objects' numbers where those are the main task and there is one
    class, else the classes.

    Raises
    ------
    DataError
        When the data has no masks.
    """
    objects = data.task is Task.INSTANCES and len(data.classes) == 1
    if not objects and Task.SEGMENT not in data.tasks:
        raise DataError(f"{data.name} has no masks, so it cannot be images with masks")
    stems = files.stems(data.source.items)
    done, total = 0, sum(len(rows) for rows in data.rows.values())
    for split, rows in data.rows.items():
        for row in rows:
            item = data.source.items[row]
            annotation = item.read_annotation() or Annotation()
            width, height = files.size_of(item, annotation)
            files.put(item, data, out / "images" / split, stems[row], files.WIDELY_READ)
            drawn: NDArray[Any]
            if objects:
                drawn = draw_masks.instance_map(annotation, height, width, wide=True)
            else:
                names = data.segmentation_classes
                drawn = draw_masks.segmentation(annotation, height, width, names).label_map
            files.save_index_png(drawn, out / "masks" / split / f"{stems[row]}.png")
            done += 1
            if progress:
                progress(done, total)
    named = "".join(f"{v} {name}\n" for v, name in enumerate(data.segmentation_classes))
    (out / "classes.txt").write_text(named, encoding="utf-8")


_MEANING = {"semantic": "classes", "instances": "numbers of objects"}


def _places(folder: Path) -> list[tuple[str | None, Path, Path]]:
    """Return (split or None, folder of images, folder of masks), in the order of the splits."""
    for pictures, masks in _pairs_of_folders(folder):
        inner = {
            split: (folder / pictures / name, folder / masks / name)
            for name in scan.subfolders(folder / pictures)
            if (split := split_of(name)) and (folder / masks / name).is_dir()
        }
        if inner:
            return [(split, *inner[split]) for split in SPLITS if split in inner]
        return [(None, folder / pictures, folder / masks)]
    by_split: dict[str, tuple[Path, Path]] = {}
    for name in scan.subfolders(folder):
        split = split_of(name)
        if split is None or split in by_split:
            continue
        if (folder / f"{name}annot").is_dir():
            by_split[split] = folder / name, folder / f"{name}annot"
        for pictures, masks in _pairs_of_folders(folder / name):
            by_split[split] = folder / name / pictures, folder / name / masks
            break
    return [(split, *by_split[split]) for split in SPLITS if split in by_split]


def _pairs_of_folders(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the names of a folder of images and one of masks, those that are called so first.

    Folders of other names are a pair only where the files of one look like masks, and those of the
    other do not.
    """
    names = scan.subfolders(folder)
    of_masks = [n for n in names if _MASK_WORDS & set(split_names.words(n))]
    of_images = [n for n in names if _IMAGE_WORDS & set(split_names.words(n)) and n not in of_masks]
    others = [n for n in names if n not in (*of_masks, *of_images)]
    for a, b in ((a, b) for a in of_images for b in of_masks):
        if _same_stems(folder / a, folder / b):
            yield a, b
    doubtful = [(a, b) for b in of_masks for a in others] + [
        (a, b) for a in of_images for b in others
    ]
    if len(names) == len(others) == 2:
        doubtful = [(others[0], others[1]), (others[1], others[0])]
    for a, b in doubtful:
        if (
            _same_stems(folder / a, folder / b)
            and _look_like_masks(folder / b) and not _look_like_masks(folder / a)
        ):  # fmt: skip
            yield a, b


def _same_stems(pictures: Path, masks: Path) -> bool:
    """Tell whether most files of the smaller of two folders are called as one in the other."""
    a, b = scan.tree(pictures).images, scan.tree(masks).images
    if len(a) < len(b):
        few, many = {pairs.stem_of(f) for f in a[:_COMPARED]}, {s for f in b for s in stems_of(f)}
        return 2 * len(few & many) > len(few) > 0
    known, drawn = {pairs.stem_of(f) for f in a}, b[:_COMPARED]
    return 2 * sum(any(s in known for s in stems_of(f)) for f in drawn) > len(drawn) > 0


def _look_like_masks(folder: Path) -> bool:
    """Tell by some of its files whether a folder holds maps of few values, of one channel."""
    listed = scan.tree(folder)
    paths = [listed.path(f) for f in listed.images]
    for path in paths[:: max(1, len(paths) // 8)][:8]:
        try:
            values = index_png.read(path)
        except DataError:
            return False
        if len(np.unique(values)) > _FEW_VALUES:
            return False
    return bool(paths)


def stems_of(path: str) -> list[str]:
    """Return the stems of the images to which a mask may belong: its own, less what marks it."""
    stem = pairs.stem_of(path)
    bare = _MARKS.sub("", stem)
    return [stem, bare] if bare and bare != stem else [stem]


def _pairs(folder: Path) -> tuple[dict[str, list[_Pair]], list[str]]:
    splits: dict[str, list[_Pair]] = {}
    notes: list[str] = []
    for split, images_folder, masks_folder in _places(folder):
        pictures = scan.tree(images_folder)
        masks = scan.tree(masks_folder)
        drawn = [f for f in masks.images if scan.ending_of(f) in _MASKS]
        lossy = [f for f in masks.images if scan.ending_of(f) in _LOSSY]
        _refuse_twins(images_folder, pictures.images)
        matched = _matched(pictures.images, drawn)
        matched |= _matched([f for f in pictures.images if f not in matched], lossy)
        by_stem = {pairs.stem_of(f): f for f in pictures.images}
        lists = {split: list(pictures.images)} if split else _lists(folder, by_stem)
        for part, listed in lists.items():
            bare = [f for f in listed if f not in matched]
            if bare:
                stem = Path(bare[0]).stem
                raise DataError(
                    f"{masks_folder}: {len(bare)} of {len(listed)} images have no mask, the first "
                    f"{stem}; add {stem}.png or {stem}_mask.png"
                )
            splits.setdefault(part, []).extend(
                _Pair(pictures.path(f), masks.path(matched[f])) for f in listed
            )
        unlisted = set(pictures.images) - {f for listed in lists.values() for f in listed}
        if unlisted:
            notes.append(lost(
                counted(len(unlisted), "image is in no list of a split and is left out",
                        "images are in no list of a split and are left out"),
                count=len(unlisted), examples=sorted(unlisted)[:5], kind="unused-image",
            ))  # fmt: skip
        alone = sorted(set(drawn) - set(matched.values()))
        if alone:
            notes.append(lost(
                f"{masks_folder.relative_to(folder)}: "
                + counted(len(alone), "mask has no image", "masks have no image"),
                count=len(alone), examples=alone[:5], kind="mask-without-image",
                mend="add the image, or take the mask away",
            ))  # fmt: skip
    return {s: kept for s, kept in splits.items() if kept}, notes


def _matched(pictures: list[str], masks: list[str]) -> dict[str, str]:
    """Return the mask of each image; both are relative to folders of their own."""
    near = pairs.match([f"/{f}" for f in pictures], [f"masks/{f}" for f in masks], stems_of)
    return {picture[1:]: mask.removeprefix("masks/") for picture, mask in near.items()}


def _refuse_twins(folder: Path, names: list[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        first = seen.setdefault(name.rpartition("/")[0] + "/" + pairs.stem_of(name), name)
        if first != name:
            raise DataError(f"{folder}: {first} and {name} differ only in their ending; keep one")


def _lists(folder: Path, by_stem: dict[str, str]) -> dict[str, list[str]]:
    """Return the images of each split: by lists of stems, else by their folders."""
    paths = {
        split: folder / name for name in files.names_in(folder)
        if name.lower().endswith(".txt") and (split := split_of(name[:-4]))
    }  # fmt: skip
    if not paths:
        splits: dict[str, list[str]] = {}
        for file in by_stem.values():
            splits.setdefault(split_of_path(file) or "train", []).append(file)
        return ordered(splits)
    lists: dict[str, list[str]] = {}
    for split, path in paths.items():
        for number, line in enumerate(text.lines(path), start=1):
            stem = pairs.stem_of(line.replace("\\", "/")) if images.is_image(line) else line
            listed = by_stem.get(stem.casefold()) or by_stem.get(pairs.stem_of(line))
            if listed is None:
                raise DataError(f"{path}:{number}: no image images/{line}.*; add it")
            lists.setdefault(split, []).append(listed)
    return ordered(lists)


def _names(path: Path) -> dict[int, str] | None:
    if not path.is_file():
        return None
    rows = text.lines(path)
    numbered = [re.fullmatch(r"(\d+)[\s:,]+(.+)", row) for row in rows]
    if all(numbered):
        if wide := next((m[1] for m in numbered if m and len(m[1]) > 5), None):
            raise DataError(f"{path}: a mask has no value {wide[:40]}; it has 65,535 at most")
        return {int(m[1]): m[2] for m in numbered if m}
    return dict(enumerate(rows))


def _size(path: str) -> tuple[int, int]:
    """Return (width, height) of a mask; (0, 0) where its file says none, as its reading will."""
    try:
        return files.upright_size(path)
    except DataError:
        return 0, 0


def _unusable(why: Sequence[str]) -> Note:
    many = counted(len(why), "mask that was looked at", "masks that were looked at")
    return lost(
        f"{many} cannot be used, first {why[0]}", count=len(why), examples=why[:5], kind=UNUSABLE,
        seen=True,
    )  # fmt: skip


def _decide(masks: list[str], kind: Kind | None, folder: Path) -> _Values:
    """Decide from some masks whether their values are classes or numbers of objects."""
    step = max(1, len(masks) // _SAMPLE)
    sample = masks[::step][:_SAMPLE]
    looks, faults = _looked(sample, ())
    in_colours = any(getattr(fault, "kind", "") == "colour-mask" for fault in faults)
    if in_colours and (file := _colour_file(folder)):
        name, named = file
        named.sort(key=lambda pair: pair[0].lower() in IGNORED_NAMES)  # no class has their number
        _, faults = _looked(sample, colours := tuple(colour for _, colour in named))
        names = tuple((i, text_) for i, (text_, _) in enumerate(named))
        why = f"{name} names their colours"
        return _Values("semantic", why, False, names, colours, tuple(map(str, faults)))
    unusable = tuple(map(str, faults))
    if not looks:
        return _Values(kind or "semantic", "", False, unusable=unusable)
    seen = frozenset().union(*(values for values, _, _ in looks))
    binary = seen <= {0, IGNORE} and IGNORE in seen
    if kind is not None:
        return _Values(kind, "as was asked for", binary, unusable=unusable)
    if seen <= {0, 1, IGNORE}:
        return _Values("semantic", _few(seen, binary), binary, unusable=unusable)
    runs = [v - {0} for v, _, _ in looks]
    running = [len(v) for v in runs if v == set(range(1, len(v) + 1))]
    parts, whole = sum(p for _, p, _ in looks), sum(w for _, _, w in looks)
    look = f"in {len(looks)} masks {whole} of {parts} values are one connected part"
    if (
        len(running) >= _NEARLY_ALL * len(looks)
        and whole >= _NEARLY_ALL * parts
        and (len(set(running)) > 1 or len(looks) == 1)
    ):
        why = f"{look}, and they run from 1 to a number that differs"
        return _Values("instances", why, False, unusable=unusable)
    why = f"{look}, and they run from 1 in {len(running)}"
    return _Values("semantic", why, False, unusable=unusable)


def _few(seen: frozenset[int], binary: bool) -> str:
    """Say why masks of no other values than 0, 1 and 255 are read as classes."""
    classes = sorted(seen if binary else seen - {IGNORE})
    if len(classes) == 2:
        said = f"there are only 0 and {classes[1]}, which are two classes"
    else:
        said = f"there is only {classes[0]}, which is one class"
    beside = IGNORE in seen and not binary
    return f"{said}, and {IGNORE}, which does not count" if beside else said


def _looked(
    sample: list[str], colours: tuple[int, ...]
) -> tuple[list[tuple[frozenset[int], int, int]], list[DataError]]:
    """Look at some masks; return what `_look` says of them, and why others cannot be read."""
    looks, faults = [], []
    with ThreadPoolExecutor(4) as pool:
        for values in pool.map(functools.partial(_tried, colours=colours), sample):
            if isinstance(values, DataError):
                faults.append(values)
            else:
                looks.append(_look(values))
    return looks, faults


def _tried(path: str, colours: tuple[int, ...] = ()) -> NDArray[Any] | DataError:
    """Read a mask, or return why it cannot be."""
    try:
        return index_png.read(path, colours)
    except DataError as error:
        return error


def _look(values: NDArray[Any]) -> tuple[frozenset[int], int, int]:
    """Return a mask's values; how many are above 0 and not 255; how many of these are one part."""
    from scipy.ndimage import find_objects, label

    objects = np.where(values == IGNORE, 0, values) if values.dtype == np.uint8 else values
    windows = [(v, w) for v, w in enumerate(find_objects(objects), start=1) if w is not None]
    eight = np.ones((3, 3))
    whole = sum(label(objects[w] == v, eight)[1] == 1 for v, w in windows)
    return frozenset(np.unique(values).tolist()), len(windows), whole


def _soft_edges(first: str, counts: NDArray[np.int64]) -> str:
    """Say that masks of two values have smoothed edges, of which every step would be a class.

    That is so when nearly all pixels have two values, and dozens of values lie between.
    """
    ends = np.sort(counts)[-2:].sum()
    if np.count_nonzero(counts[:256]) <= _SOFT or ends < 0.8 * counts.sum():
        return ""
    two = sorted(np.argsort(counts)[-2:].tolist())
    return (
        f"{first}: it and the others have {np.count_nonzero(counts)} values, most of them few "
        f"pixels between {two[0]} and {two[1]}: soft edges, not classes. Save masks without "
        "smoothing (resize by nearest neighbour), or set a threshold"
    )


def _unnamed(masks: list[str], values: _Values, notes: list[str]) -> tuple[dict[int, str], _Values]:
    """Name the values of all masks by their number."""
    counts, faults = np.zeros(65536, np.int64), list[str]()
    with ThreadPoolExecutor(4) as pool:
        for some in pool.map(_counts, masks):
            if isinstance(some, DataError):
                faults.append(str(some))
            else:
                counts[some[0]] += some[1]
    seen = set(np.flatnonzero(counts).tolist())
    if soft := _soft_edges(masks[0], counts):
        faults, seen = [*faults, soft], {0, IGNORE}
    values = values._replace(unusable=tuple(faults))
    binary = not seen or (seen <= {0, IGNORE} and IGNORE in seen)
    if binary or seen <= {0, 1}:
        return {0: "background", 1: "object"}, values._replace(binary=binary)
    largest = max(seen - {IGNORE}, default=0)
    if values.binary:  # as the few that were looked at first are
        values = values._replace(why=f"the values 0 to {largest} are there")
    notes.append(
        f"no classes.txt: the values 0 to {largest} are called 'class 0' to 'class {largest}'; "
        "a classes.txt names them, and ignores one that it calls void or unlabelled"
    )
    return {v: f"class {v}" for v in range(largest + 1)}, values._replace(binary=False)


def _counts(path: str) -> tuple[NDArray[Any], NDArray[np.int64]] | DataError:
    """Count the pixels of each value of a mask."""
    values = _tried(path)
    return values if isinstance(values, DataError) else np.unique(values, return_counts=True)


def _colour_file(folder: Path) -> tuple[str, list[tuple[str, int]]] | None:
    """Return the first text file beside the folders that names colours, and what it says."""
    for name in sorted(files.names_in(folder)):
        path = folder / name
        if path.suffix.lower() in (".txt", ".csv") and path.stat().st_size <= _LARGEST:
            named = colour_names(text.lines(path))
            if named:
                return name, named
    return None


_LARGEST = 1 << 16
"""Bytes of a file that names colours, at most."""

_BEFORE = re.compile(r"(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})[\s,:]+(\D.*)")
_AFTER = re.compile(r"(.*?[^\s,:;])[\s,:;]+(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})(?:[\s,:;].*)?")
_HEX = re.compile(r"#([0-9a-fA-F]{6})[\s,:;]+(.+)|(.*?[^\s,:;])[\s,:;]+#([0-9a-fA-F]{6})")


def colour_names(lines: Sequence[str]) -> list[tuple[str, int]]:
    """Return the name and the colour, ``0xRRGGBB``, of each line of a file of them.

    A line is ``name,r,g,b`` (a first one without digits being its heading), ``r g b name``,
    ``name:r,g,b::`` (CVAT's) or has ``#rrggbb``. Where a line is none of these, or two have one
    colour, the file is about something else: the list is empty.

    Examples
    --------
    >>> colour_names(["name,r,g,b", "road,128,64,128", "sky,70,130,180"])
    [('road', 8405120), ('sky', 4620980)]
    """
    named: list[tuple[str, int]] = []
    for number, line in enumerate(lines):
        if line.startswith("# ") or (number == 0 and not re.search(r"\d", line)):
            continue
        pair = _named_colour(line)
        if pair is None:
            return []
        named.append(pair)
    return named if len({colour for _, colour in named}) == len(named) > 1 else []


def _named_colour(line: str) -> tuple[str, int] | None:
    if match := _HEX.fullmatch(line):
        before, name, other, after = match.groups()
        return name or other, int(before or after, 16)
    parts: tuple[str, ...]
    if match := _BEFORE.fullmatch(line):
        *parts_, name = match.groups()
        parts = tuple(parts_)
    elif match := _AFTER.fullmatch(line):
        name, *rest = match.groups()
        parts = tuple(rest)
    else:
        return None
    red, green, blue = map(int, parts)
    if max(red, green, blue) > 255:
        return None
    return name, (red << 16) | (green << 8) | blue
