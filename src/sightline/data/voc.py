"""Read and write Pascal VOC: an XML an image, as ``Annotations/*.xml`` or wherever it lies.

VOC counts pixels from 1 and includes the last one: the box (1, 1, 10, 20) covers ten
columns and twenty rows. Here boxes count from 0 and exclude the right and lower edge,
so that box is (0, 0, 10, 20): one is taken off xmin and ymin, none off xmax and ymax.

Source: Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", 2010, and
its development kit.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from sightline.counting import counted
from sightline.data import documents, draw_masks, files, images, pairs, scan, text
from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.data.notes import guessed, lost
from sightline.data.split_names import ordered, split_of_path
from sightline.errors import DataError
from sightline.types import Progress, Task

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip
CORNERS = ("xmin", "ymin", "xmax", "ymax")
_TO_EXCLUSIVE = np.array([-1.0, -1.0, 0.0, 0.0])
_IMAGES = frozenset((".jpg", ".jpeg", ".png"))


class _Page(NamedTuple):
    """One XML file, its boxes already counted from 0."""

    path: Path
    size: tuple[int, int]
    names: list[str]
    boxes: list[list[float]]
    difficult: list[bool]


class _Layout(NamedTuple):
    """Where things lie: of each stem (or path) the picture and the XML; lists; notes.

    ``roots`` hold ``ImageSets``, ``classes.txt`` and the folders of index PNGs.
    """

    roots: list[Path]
    pictures: dict[str, str]
    pages: dict[str, Path]
    splits: dict[str, list[str]]
    notes: list[str]


def why_not(folder: Path) -> str | None:
    """Return what keeps a folder from being a VOC set; None when nothing does."""
    if _roots(folder):
        return None
    listed = scan.tree(folder)
    pages = [f for f in listed.ending(".xml") if _is_page(Path(listed.path(f)))]
    if not pages:
        return "no Annotations/*.xml"
    if not pairs.match(listed.images, pages[:1000]):
        return f"{pages[0]} is an annotation, but no image has its name"
    return None


def read(folder: Path, name: str) -> Dataset:
    """Read a VOC set, also nested as ``VOCdevkit/VOC2007``, or of XML files beside images.

    Several years of one ``VOCdevkit`` are read together, as detectors are commonly trained: their
    ``train`` and ``val`` (or ``trainval``) are ``train``, ``test`` is what is listed as such.

    Splits are ``ImageSets/Main/{train,val,test}.txt`` (``trainval`` where there is no
    ``train``), else those of ``ImageSets/Segmentation``, else all images are ``train``. Where
    there is no ``JPEGImages``, an XML belongs to the nearest image of its name, and folders called
    as splits (``train/``, ``valid/``) are these.
    Classes are the lines of ``classes.txt``; without it VOC's twenty in their order, where
    all names are among them and images lie in ``JPEGImages``; else the names that occur, sorted.

    Raises
    ------
    DataError
        When an annotation is missing, is not well-formed or lacks a box, or an image is missing.
    """
    folder = folder.resolve()
    years = _roots(folder)
    layout = _together(folder, years) if years else _by_name(folder)
    pictures, lists, notes = layout.pictures, layout.splits, layout.notes
    order = list(dict.fromkeys(stem for stems in lists.values() for stem in stems))
    pages = [_parse(layout.pages[stem]) for stem in order]
    classes = _classes(layout.roots, pages, devkit=bool(years))
    ids = {c: i for i, c in enumerate(classes)}
    semantic, instances = (
        {k: v for root in layout.roots for k, v in files.by_stem(root / name, {".png"}).items()}
        for name in ("SegmentationClass", "SegmentationObject")
    )
    items = []
    for stem, page in zip(order, pages, strict=True):
        if stem not in pictures:
            raise DataError(f"{page.path}: no image JPEGImages/{stem}.jpg; add it")
        annotation = Annotation(
            *page.size,
            boxes=np.array(page.boxes, np.float64).reshape(-1, 4),
            labels=np.array([ids.get(n, -1) for n in page.names], np.int64),
            unknown=tuple(f"{n} ({page.path})" for n in page.names if n not in ids),
            difficult=np.array(page.difficult, np.bool_),
            semantic=semantic.get(stem),
            instances=instances.get(stem) if stem in semantic or len(classes) == 1 else None,
        )
        path = pictures[stem]
        items.append(Item(path[len(str(folder)) + 1 :], path, annotation=annotation))
    row = {stem: i for i, stem in enumerate(order)}
    tasks = [Task.DETECT]
    drawn = [item.annotation for item in items if isinstance(item.annotation, Annotation)]
    if any(a.instances for a in drawn):
        tasks.append(Task.INSTANCES)
    if any(a.masked for a in drawn):
        tasks.append(Task.SEGMENT)
        missing = sum(not a.masked for a in drawn)
        if missing:
            notes.append(
                f"{missing} of {len(drawn)} images have no mask: for segmentation all their "
                "pixels are ignored"
            )
    return Dataset(
        name=name,
        source=Source(items, "RGB"),
        rows={s: np.array([row[i] for i in stems], np.int64) for s, stems in lists.items()},
        classes=classes,
        tasks=tuple(tasks),
        segmentation_classes=("background", *classes) if Task.SEGMENT in tasks else (),
        notes=notes,
        path=str(folder),
        layout="voc",
    )


def write(data: Dataset, out: Path, progress: Progress | None = None) -> None:
    """Write a VOC set; index PNGs too, where there are masks.

    Corners that are no whole pixels are written with their fraction. VOC has no mark for
    a crowd: such an object is written as a plain one. JPEG and PNG files are copied as
    they are, others become PNG.

    Raises
    ------
    DataError
        When the data has neither boxes nor masks with a background.
    """
    background = data.segmentation_classes == ("background", *data.classes)
    boxed = Task.DETECT in data.tasks or Task.INSTANCES in data.tasks
    if not boxed and not background:
        raise DataError(
            f"{data.name} has no boxes, and no masks whose value 0 is the background, so it "
            "cannot be a VOC set"
        )
    items, stems = data.source.items, files.stems(data.source.items)
    masked = []
    used = np.unique(np.concatenate([*data.rows.values(), np.zeros(0, np.int64)])).tolist()
    for done, i in enumerate(used, start=1):
        item, stem = items[i], stems[i]
        annotation = item.read_annotation() or Annotation()
        width, height = files.size_of(item, annotation)
        files.put(item, data, out / "JPEGImages", stem, _IMAGES)
        semantic = annotation.masked and Task.SEGMENT in data.tasks and background
        if semantic:
            masked.append(i)
            drawn = draw_masks.segmentation(annotation, height, width, data.segmentation_classes)
            files.save_index_png(drawn.label_map, out / "SegmentationClass" / f"{stem}.png")
        if semantic and Task.INSTANCES in data.tasks:
            numbers = draw_masks.instance_map(annotation, height, width, wide=True)
            files.save_index_png(numbers, out / "SegmentationObject" / f"{stem}.png")
        objects = draw_masks.resolve(annotation, height, width, data.task is Task.INSTANCES)
        page = _page(stem, objects, (width, height), data.classes, bool(semantic))
        target = out / "Annotations" / f"{stem}.xml"
        target.parent.mkdir(parents=True, exist_ok=True)
        ElementTree.indent(page)
        ElementTree.ElementTree(page).write(target, encoding="utf-8")
        if progress:
            progress(done, len(used))
    for split, rows in data.rows.items():
        _write_list(out / "ImageSets/Main" / f"{split}.txt", [stems[i] for i in rows])
        with_mask = [stems[i] for i in np.intersect1d(rows, masked)]
        if with_mask:
            _write_list(out / "ImageSets/Segmentation" / f"{split}.txt", with_mask)
    _write_list(out / "classes.txt", data.classes)


def _roots(folder: Path) -> list[Path]:
    """Return folders at or below `folder` that hold ``Annotations/*.xml`` and ``JPEGImages``."""
    for places in ([folder], folder.glob("VOC*"), folder.glob("VOCdevkit/VOC*")):
        folders = sorted(
            p for p in places
            if (p / "JPEGImages").is_dir() and any((p / "Annotations").glob("[!.]*.xml"))
        )  # fmt: skip
        if folders:
            return folders
    return []


def _is_page(path: Path) -> bool:
    """Tell by its beginning whether a file is the XML of one image, as VOC has it."""
    try:
        head = text.decode(text.read_bytes(path)[:4096]).text
    except DataError:
        return False
    return re.search(r"<annotation[\s>]", head) is not None


def _by_devkit(root: Path) -> _Layout:
    pictures = files.by_stem(root / "JPEGImages")
    annotated = files.by_stem(root / "Annotations", {".xml"})
    pages = {stem: Path(path) for stem, path in annotated.items()}
    lists, notes = _splits(root, pictures, pages)
    return _Layout([root], pictures, pages, lists, notes)


def _together(folder: Path, years: list[Path]) -> _Layout:
    """Read the lists of one year, or of several as one set."""
    parts = [_by_devkit(year) for year in years]
    if len(parts) == 1:
        return parts[0]
    pictures: dict[str, str] = {}
    pages: dict[str, Path] = {}
    splits: dict[str, list[str]] = {}
    names = ", ".join(year.name for year in years)
    for part in parts:
        if twice := sorted(pages.keys() & part.pages.keys()):
            raise DataError(
                f"{folder} holds {len(years)} VOC sets ({names}), and more than one of them has an "
                f"image {twice[0]}; give the path of one"
            )
        pictures |= part.pictures
        pages |= part.pages
        for split, stems in part.splits.items():
            splits.setdefault("test" if split == "test" else "train", []).extend(stems)
    together = guessed(
        f"{names} are read together: their train and val are train; name one folder to read it "
        "alone"
    )
    notes = [together, *(note for part in parts for note in part.notes)]
    return _Layout(years, pictures, pages, ordered(splits), notes)


def _by_name(folder: Path) -> _Layout:
    """Find the image of each XML by its name, wherever both lie."""
    listed = scan.tree(folder)
    written = [f for f in listed.ending(".xml") if _is_page(Path(listed.path(f)))]
    masks = ("SegmentationClass/", "SegmentationObject/")
    pictures = [f for f in listed.images if not f.startswith(masks)]
    matched = pairs.match(pictures, written)
    if not matched:
        raise DataError(f"{folder}: no XML of an annotation has the name of an image")
    splits: dict[str, list[str]] = {}
    for picture, page in matched.items():
        split = split_of_path(picture) or split_of_path(page) or "train"
        splits.setdefault(split, []).append(picture)
    where = sorted({page.rpartition("/")[0] or "." for page in matched.values()})
    notes: list[str] = [guessed(
        f"read as VOC: the XML files of {', '.join(where[:4])}{' ...' * (len(where) > 4)} belong "
        "to the images of their name"
    )]  # fmt: skip
    alone = sorted(set(written) - set(matched.values()))
    bare = [p for p in pictures if p not in matched]
    for some, what, kind in (
        (alone, "annotation without an image is", "annotation-without-image"),
        (bare, "image without an XML is", "image-without-annotation"),
    ):
        if some:
            many = what.replace(" with", "s with", 1).replace(" is", " are")
            notes.append(lost(
                counted(len(some), what, many) + " left out",
                count=len(some), examples=some[:5], kind=kind,
                mend="add what is missing, an XML without objects if there are none",
            ))  # fmt: skip
    return _Layout(
        [folder],
        {p: listed.path(p) for p in matched},
        {p: Path(listed.path(page)) for p, page in matched.items()},
        ordered(splits),
        notes,
    )


def _splits(
    root: Path, pictures: dict[str, str], pages: dict[str, Path]
) -> tuple[dict[str, list[str]], list[str]]:
    """Return the stems of each split, and notes about them."""
    for part in ("Main", "Segmentation", "Layout"):
        place = root / "ImageSets" / part
        paths = {s: place / f"{s}.txt" for s in ("train", "val", "test")}
        if not paths["train"].is_file():
            paths["train"] = place / "trainval.txt"
        paths = {s: p for s, p in paths.items() if p.is_file()}
        others = sorted(place.glob("[!.]*.txt"))
        if not paths and len(others) == 1:
            paths = {"train": others[0]}
        if paths:
            lists = {s: [_stem(line, pictures) for line in text.lines(p)] for s, p in paths.items()}
            for split, stems in lists.items():
                for stem in stems:
                    if stem not in pages:
                        raise DataError(
                            f"{paths[split]} lists {stem}, but there is no Annotations/{stem}.xml; "
                            "write one (without objects if there are none) or take it off the list"
                        )
            listed = {s for stems in lists.values() for s in stems}
            unlisted = sorted(pictures.keys() - listed)
            if not unlisted:
                return lists, []
            return lists, [lost(
                counted(
                    len(unlisted),
                    f"image is in no list of ImageSets/{part} and is left out",
                    f"images are in no list of ImageSets/{part} and are left out",
                ),
                count=len(unlisted), examples=unlisted[:5], kind="unused-image", seen=False,
                mend="add them to a list",
            )]  # fmt: skip
    return {"train": sorted(pages)}, []


def _stem(line: str, pictures: dict[str, str]) -> str:
    """Return the stem that a line of a list names, also with its ending or a class's 1 or -1."""
    for name in (line, line.split()[0]):
        if name in pictures:
            return name
        bare = name.replace("\\", "/").rsplit("/", 1)[-1]
        if images.is_image(bare) and bare[: bare.rfind(".")] in pictures:
            return bare[: bare.rfind(".")]
    return line.split()[0]


def _classes(roots: list[Path], pages: list[_Page], *, devkit: bool) -> tuple[str, ...]:
    lists = [root / "classes.txt" for root in roots if (root / "classes.txt").is_file()]
    if lists:
        return tuple(dict.fromkeys(line for path in lists for line in text.lines(path)))
    named = {name for page in pages for name in page.names}
    if not named:
        raise DataError(f"{roots[0]}: no annotation has an object; name the classes in classes.txt")
    return CLASSES if devkit and named <= set(CLASSES) else tuple(sorted(named))


def _parse(path: Path) -> _Page:
    tree = documents.read_xml(path)
    size = (0, 0)  # not stated
    if tree.find("size") is not None:
        size = int(_number(path, tree, "size/width")), int(_number(path, tree, "size/height"))
    names, boxes, difficult = [], [], []
    for number, thing in enumerate(tree.iterfind("object"), start=1):
        name = (thing.findtext("name") or "").strip()
        if not name:
            raise DataError(f"{path}: object {number} has no <name>; add its class")
        if thing.find("bndbox") is None:
            raise DataError(f"{path}: object {number} ({name}) has no <bndbox>; add or delete it")
        x1, y1, x2, y2 = (_number(path, thing, f"bndbox/{c}") for c in CORNERS)
        names.append(name)
        # Corners that are swapped stay so for now, as `check_boxes` counts them.
        (x1, x2), (y1, y2) = _exclusive(x1, x2), _exclusive(y1, y2)
        boxes.append([x1, y1, x2, y2])
        difficult.append((thing.findtext("difficult") or "0").strip() not in ("0", "false"))
    return _Page(path, size, names, boxes, difficult)


def _exclusive(first: float, last: float) -> tuple[float, float]:
    """Return where an interval from one pixel to another begins and ends, swapped or not."""
    return (first, last - 1) if first > last + 1 else (first - 1, last)


def _number(path: Path, element: ElementTree.Element, tag: str) -> float:
    text = element.findtext(tag)
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{path}: <{tag}> is {text!r}; it must be a number of pixels")
    return value


def _page(
    stem: str,
    objects: Annotation,
    size: tuple[int, int],
    classes: tuple[str, ...],
    segmented: bool,
) -> ElementTree.Element:
    page = ElementTree.Element("annotation")
    ElementTree.SubElement(page, "filename").text = stem
    place = ElementTree.SubElement(page, "size")
    for tag, number in zip(("width", "height", "depth"), (*size, 3), strict=True):
        ElementTree.SubElement(place, tag).text = str(number)
    ElementTree.SubElement(page, "segmented").text = str(int(segmented))
    assert objects.difficult is not None
    corners = objects.boxes - _TO_EXCLUSIVE
    for label, box, difficult in zip(
        objects.labels.tolist(), corners.tolist(), objects.difficult.tolist(), strict=True
    ):
        thing = ElementTree.SubElement(page, "object")
        ElementTree.SubElement(thing, "name").text = classes[label]
        ElementTree.SubElement(thing, "difficult").text = str(int(difficult))
        frame = ElementTree.SubElement(thing, "bndbox")
        for tag, value in zip(CORNERS, box, strict=True):
            ElementTree.SubElement(frame, tag).text = f"{value:.10g}"
    return page


def _write_list(path: Path, names: list[str] | tuple[str, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
