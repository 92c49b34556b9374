"""Read and write YOLO text labels: one ``.txt`` an image, one object a line, sizes as shares.

A line is ``class cx cy w h`` (a box by its centre) or ``class x1 y1 x2 y2 x3 y3 ...`` (a
polygon); where ``data.yaml`` says ``kpt_shape``, keypoints follow the box. ``data.yaml`` (or any
YAML with ``names`` and a split) names the classes and the folders or lists of images; without
one, as Darknet, CVAT and many programs for annotating leave it, classes are the lines of
``classes.txt`` or ``obj.names``, and lists of files or the names of folders are the splits. The
labels of ``.../images/a.jpg`` are ``.../labels/a.txt`` or ``.../images/a.txt``, and no such file
means no objects.

Boxes here are in pixels, so the header of every image is read once (about 0.1 ms each
from a local disk, sixteen at a time).

Source: the format of Ultralytics' data sets, docs.ultralytics.com/datasets.
"""

from __future__ import annotations

import math
import os
import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from sightline.counting import counted
from sightline.data import documents, draw_masks, files, images, outlines, place, scan, text
from sightline.data.annotation import Annotation, Shape
from sightline.data.bounds import Bounds
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.data.notes import Note, guessed, lost
from sightline.data.place import locate
from sightline.data.split_names import ordered, split_of, split_of_path, words
from sightline.errors import DataError
from sightline.types import Progress, Task

NAMES = ("classes.txt", "obj.names", "*.names", "names.txt", "predefined_classes.txt",
         "class_names.txt", "classes.names")  # fmt: skip
"""Files of class names, a line each."""

_PICTURES = frozenset((
    "images", "image", "imgs", "img", "jpegimages", "pictures", "photos", "img_dir", "图片", "图像",
))  # fmt: skip
_LABELS = (
    "labels", "label", "annotations", "annotation", "annots", "txt", "yolo", "labels_txt", "标签",
    "标注",
)  # fmt: skip
_EXAMPLES = 5


class _Layout(NamedTuple):
    """What a data set says of itself: class names, and the image files of each split.

    ``classes`` is None where nothing names them; ``keypoints`` are the numbers a row has
    behind its box.
    """

    classes: tuple[str, ...] | None
    splits: dict[str, list[str]]
    keypoints: int = 0
    notes: tuple[str, ...] = ()


def why_not(folder: Path) -> str | None:
    """Return what keeps a folder from being a YOLO set; None when nothing does."""
    if _yaml(folder) is not None or _darknet(folder) is not None:
        return None
    listed = scan.tree(folder)
    texts = set(listed.ending(".txt"))
    if not texts:
        return "no data.yaml and no labels (.txt)"
    labels = _Labels(folder, 0)
    beside = [b for f in listed.images if (b := labels.of(listed.path(f))) is not None]
    if not beside:
        return "no data.yaml, and no .txt called as an image in labels/ or beside it"
    if not any(_is_label(Path(b)) for b in beside[:20]):
        return f"no data.yaml, and {Path(beside[0]).name} has no rows of 'class cx cy w h'"
    return None


def why_not_file(path: Path) -> str | None:
    """Return what keeps a file from being the ``data.yaml`` of a YOLO set."""
    return None if _describes(path) else "no 'names' with 'train', 'val' or 'test'"


def read(
    folder: Path, name: str, *, bounds: Bounds | None = None, described: Path | None = None
) -> Dataset:
    """Read a YOLO set: by its ``data.yaml``, by lists of files, or by its folders.

    Without lists, the images of a folder called as a split (``images/train``, ``valid/images``)
    are that split; others are ``train``. Images that cannot be opened are left out, and
    `Dataset.notes` says so.

    Parameters
    ----------
    folder : path
    name : str
    bounds : Bounds, optional
        Where the images may lie.
    described : path, optional
        The ``data.yaml``; default: the one in the folder.

    Raises
    ------
    DataError
        When ``data.yaml`` cannot be used, or a label line is
        neither a box nor a polygon (file and line are named).
    """
    folder = folder.resolve()
    bounds = bounds or Bounds(folder)
    if described := described or _yaml(folder):
        layout = _by_yaml(described, bounds)
    else:
        layout = _by_folders(folder, bounds)
    paths = list(dict.fromkeys(p for listed in layout.splits.values() for p in listed))
    labels = _Labels(folder, layout.keypoints)
    with ThreadPoolExecutor(16, initializer=text.join()) as pool:
        rows_of = list(pool.map(labels.read, paths))
    every = [label for rows in rows_of if not isinstance(rows, str) for label in rows.labels]
    classes = layout.classes
    notes: list[str] = []
    if classes is None:
        classes = tuple(f"class {i}" for i in range(int(max(every, default=-1)) + 1))
        notes.append(guessed(
            "nothing names the classes; they are called by their number",
            mend="write classes.txt, a name a line",
        ))  # fmt: skip
    readable: dict[str, Annotation] = {}
    broken: list[str] = []
    for path, parsed in zip(paths, rows_of, strict=True):
        if isinstance(parsed, str):
            broken.append(parsed)
        else:
            readable[path] = parsed.annotation(len(classes))
    notes += _said_of_files(folder, labels, paths, broken)
    outlined = any(a.shapes is not None for a in readable.values())
    for split, listed in layout.splits.items() if outlined else ():
        members = [readable[p] for p in listed if p in readable]
        if all(a.shapes is None for a in members):
            notes.append(f"{split}: boxes only, its pixels are ignored")
            continue
        for a in members:
            a.shapes = a.shapes or [None] * len(a.boxes)
        bare = sum(shape is None for a in members for shape in a.shapes or ())
        if bare:
            notes.append(
                f"{split}: "
                + counted(
                    bare,
                    "object has no outline; masks show its box",
                    "objects have no outline; masks show their box",
                )
            )
    notes += layout.notes
    row = {p: i for i, p in enumerate(readable)}
    items = [Item(files.below(p, folder), p, annotation=a) for p, a in readable.items()]
    return Dataset(
        name=name,
        source=Source(items, "RGB"),
        rows={
            s: np.array([row[p] for p in listed if p in row], np.int64)
            for s, listed in layout.splits.items()
        },
        classes=classes,
        tasks=(Task.DETECT, *((Task.INSTANCES, Task.SEGMENT) if outlined else ())),
        segmentation_classes=("background", *classes) if outlined else (),
        notes=notes,
        path=str(folder),
        layout="yolo",
    )


def _said_of_files(
    folder: Path, labels: _Labels, paths: list[str], broken: list[str]
) -> list[Note]:
    """Return what is to be said of images that cannot be opened, and of labels without image."""
    made = []
    if broken:
        made.append(lost(
            counted(len(broken), "image cannot be opened and is left out",
                    "images cannot be opened and are left out") + f": {broken[0]}",
            count=len(broken), examples=broken[:_EXAMPLES], kind="unreadable",
            mend="remove them or fetch them again",
        ))  # fmt: skip
    bare = [p for p in paths if labels.of(p) is None]
    if bare and len(bare) == len(paths):
        looked = ", ".join(os.path.relpath(p, folder) for p in labels.tried(paths[0])[:3])
        made.append(lost(
            f"no object in any of {counted(len(bare), 'image')}: none has a file of labels; "
            f"looked for {looked}", count=len(bare), kind="no-object",
            examples=[os.path.relpath(p, folder) for p in bare[:_EXAMPLES]],
            mend="put the .txt files there",
        ))  # fmt: skip
    elif bare:
        made.append(Note(
            counted(len(bare), "image has", "images have")
            + " no file of labels, and count as images without objects", kind="no-label-file",
            count=len(bare), examples=[os.path.relpath(p, folder) for p in bare[:_EXAMPLES]],
        ))  # fmt: skip
    used = {os.path.realpath(own) for p in paths if (own := labels.of(p)) is not None}
    folders = {path.rpartition("/")[0] for path in used}
    listed = scan.tree(folder)
    alone = [
        f for f in listed.ending(".txt")
        if (full := os.path.realpath(listed.path(f))) not in used
        and full.rpartition("/")[0] in folders
        and f.rsplit("/", 1)[-1].lower() not in (*NAMES, "train.txt", "val.txt", "test.txt")
        and _is_label(Path(full))
    ]  # fmt: skip
    if alone:
        made.append(lost(
            counted(len(alone), "file of labels has", "files of labels have") + " no image",
            count=len(alone), examples=alone[:_EXAMPLES], kind="label-without-image",
            mend="add the image, or take the file away",
        ))  # fmt: skip
    return made


def write(data: Dataset, out: Path, progress: Progress | None = None) -> None:
    """Write ``data.yaml``, ``images/SPLIT`` and ``labels/SPLIT``.

    Where the objects have outlines these are written, as one polygon each: parts and
    holes are joined by seams without width, masks traced along their pixels. YOLO has no
    mark for crowds or difficult objects: crowds are left out, as training on them as
    plain objects would be wrong, difficult ones are kept.

    Raises
    ------
    DataError
        When the data has no boxes.
    """
    if Task.DETECT not in data.tasks and Task.INSTANCES not in data.tasks:
        raise DataError(f"{data.name} has no boxes, so it cannot be a YOLO set")
    stems = files.stems(data.source.items)
    done, total = 0, sum(len(rows) for rows in data.rows.values())
    for split, rows in data.rows.items():
        labels = out / "labels" / split
        labels.mkdir(parents=True, exist_ok=True)
        for row in rows:
            item = data.source.items[row]
            annotation = item.read_annotation() or Annotation()
            width, height = files.size_of(item, annotation)
            suffixes = files.WIDELY_READ
            if place.is_file(item.image) and files.upright_size(item.image) == (height, width):
                # Boxes of the unrotated image: readers would rotate it, so it is saved anew.
                suffixes = suffixes if width == height else frozenset()
            files.put(item, data, out / "images" / split, stems[row], suffixes)
            objects = draw_masks.resolve(annotation, height, width, data.task is Task.INSTANCES)
            written = "".join(_lines(objects, height, width))
            (labels / f"{stems[row]}.txt").write_text(written, encoding="ascii")
            done += 1
            if progress:
                progress(done, total)
    page = {s: f"images/{s}" for s in data.rows} | {"names": dict(enumerate(data.classes))}
    described = yaml.safe_dump(page, sort_keys=False, allow_unicode=True)
    (out / "data.yaml").write_text(described, encoding="utf-8")


def _yaml(folder: Path) -> Path | None:
    """Return the YAML that describes a set: ``data.yaml`` before others; the first by name."""
    names = [n for n in files.names_in(folder) if n.lower().endswith((".yaml", ".yml"))
             and scan.visible(n)]  # fmt: skip
    usual = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
    for name in sorted(names, key=lambda n: (n.lower() not in usual, n)):
        if name.lower() in usual or _describes(folder / name):
            return folder / name
    return None


def _describes(path: Path) -> bool:
    """Tell whether a YAML names classes, or a split of images."""
    try:
        page = documents.read_yaml(path)
    except DataError:
        return path.name.lower().startswith(("data.", "dataset."))
    return isinstance(page, dict) and "names" in page and bool({"train", "val", "test"} & set(page))


def _darknet(folder: Path) -> Path | None:
    """Return a Darknet's ``*.data`` with the lists of its images."""
    for name in files.names_in(folder):
        if name.lower().endswith(".data") and any("=" in x for x in text.lines(folder / name)[:9]):
            return folder / name
    return None


def _by_folders(folder: Path, bounds: Bounds) -> _Layout:
    notes: list[str] = []
    classes = _named(folder)
    listed = scan.tree(folder)
    splits = _listed(folder, bounds)
    if not splits:
        labels = _Labels(folder, 0)
        labelled = {
            f.rpartition("/")[0] for f in listed.images if labels.of(listed.path(f)) is not None
        }  # images elsewhere, such as masks, are none of the set
        own = {
            file: split_of_path(file)
            for file in listed.images
            if not labelled or split_of_path(file) or file.rpartition("/")[0] in labelled
        }
        told = any(own.values())  # then what lies in no folder of a split is left out, and said so
        for file, split in own.items():
            if split or not told:
                splits.setdefault(split or "train", []).append(listed.path(file))
        where = sorted({f.rpartition("/")[0] or "." for f in own})
        notes.append(guessed(
            f"read as YOLO without a data.yaml: images of {', '.join(where[:5])}"
            + " ..." * (len(where) > 5)
        ))  # fmt: skip
    return _Layout(classes, ordered(splits), notes=tuple(notes))


def _named(folder: Path) -> tuple[str, ...] | None:
    """Return the class names of the first file that has them, at the top or among the labels."""
    for part in ("", "labels", "data", "obj_train_data"):
        for pattern in NAMES:
            for path in sorted((folder / part).glob(pattern)):
                rows = text.lines(path)
                if rows and not all(_parse(row) for row in rows if len(row.split()) > 1):
                    return tuple(rows)
                if rows and all(len(row.split()) == 1 for row in rows):
                    return tuple(rows)
    return None


def _listed(folder: Path, bounds: Bounds) -> dict[str, list[str]]:
    """Return the images of each split by lists of files: Darknet's, or ``train.txt``."""
    splits: dict[str, list[str]] = {}
    paths: list[tuple[str, Path]] = []
    described = _darknet(folder)
    for line in text.lines(described) if described else ():
        key, equals, value = (part.strip() for part in line.partition("="))
        if equals and (split := split_of(key)) and value:
            place = bounds.find(value, [folder, folder.parent], f"{described}")
            place = place or locate(folder, Path(value).name)
            if place is not None:
                paths.append((split, Path(place)))
    if not paths:
        paths = [
            (split, folder / name) for name in files.names_in(folder)
            if name.lower().endswith(".txt") and (split := split_of(name[:-4]))
        ]  # fmt: skip
    for split, path in paths:
        if Path(path).is_dir():
            splits.setdefault(split, []).extend(_images(str(path)))
        else:
            splits.setdefault(split, []).extend(_lines_of(path, folder, bounds))
    return splits


def _by_yaml(path: Path, bounds: Bounds) -> _Layout:
    page = documents.read_yaml(path)
    if not isinstance(page, dict):
        raise DataError(f"{path}: holds no 'names:' and 'train:'; see {__name__}")
    classes = _names(path, page.get("names"))
    roots = [path.parent]
    stated = page.get("path")
    refused: DataError | None = None
    if isinstance(stated, str) and not documents.is_nothing(stated):
        try:
            place = bounds.find(stated, [path.parent], str(path))
            roots = [Path(place), *roots] if place and Path(place).is_dir() else roots
        except DataError as error:  # another computer's, where all lies beside the YAML
            refused = error
    splits: dict[str, list[str]] = {}
    for key, entry in page.items():
        split = split_of(str(key))
        if split and not documents.is_nothing(entry):
            for place in entry if isinstance(entry, list) else [entry]:
                try:
                    splits.setdefault(split, []).extend(_expand(path, roots, str(place), bounds))
                except DataError as error:
                    raise refused or error from None
    if not splits:
        raise DataError(f"{path}: names no images; add 'train: images/train'")
    return _Layout(classes, ordered(splits), _keypoints(path, page.get("kpt_shape")))


def _keypoints(path: Path, shape: Any) -> int:
    """Return how many numbers of keypoints follow a box: ``kpt_shape: [17, 3]`` is 51."""
    if shape is None or documents.is_nothing(shape):
        return 0
    try:
        count, each = (int(str(n)) for n in shape)
    except (TypeError, ValueError):
        count, each = 0, 0
    if count < 1 or each not in (2, 3):
        raise DataError(f"{path}: 'kpt_shape' must be [number of keypoints, 2 or 3], not {shape!r}")
    return count * each


def _names(path: Path, names: Any) -> tuple[str, ...]:
    if isinstance(names, dict) and set(names) == {str(i) for i in range(len(names))}:
        names = [names[str(i)] for i in range(len(names))]
    if isinstance(names, str) and names.endswith((".txt", ".names")):
        names = text.lines(path.parent / names)
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise DataError(f"{path}: 'names' must be a list of classes, or a mapping 0: name, 1: ...")
    return tuple(names)


def _expand(path: Path, roots: list[Path], place: str, bounds: Bounds) -> list[str]:
    """Return the image files of one entry: a folder, or a text file with one image a line."""
    # Exports exist whose entries lead out of their own folder ("../train/images").
    inside = place.replace("\\", "/").lstrip("./")
    source = None
    if inside and locate(roots[0], place) is None:
        source = bounds.find(inside, [path.parent], str(path))
    source = source or bounds.find(place, roots, str(path))
    if source is None:
        raise DataError(
            f"{path}: {place!r} is no folder or list at {roots[0] / place}; mend the entry"
        )
    if Path(source).is_dir():
        return _images(source)
    if images.is_image(source):
        return [source]
    return _lines_of(Path(source), roots[0], bounds)


def _lines_of(source: Path, root: Path, bounds: Bounds) -> list[str]:
    """Return the images that a list names, a line each."""
    listed = []
    places = [source.parent, root, root.parent]
    for number, line in enumerate(text.lines(source), start=1):
        image = bounds.find(line, places, f"{source}:{number}")
        if image is None:  # Darknet's lists begin with a folder that CVAT leaves out
            image = bounds.find("/" + line, places, f"{source}:{number}")
        if image is None or not Path(image).is_file():
            raise DataError(f"{source} lists {line}, but there is no such file")
        listed.append(image)
    return listed


def _images(folder: str) -> list[str]:
    listed = scan.tree(Path(os.path.normpath(folder)))
    return [listed.path(f) for f in listed.images]


class _Rows(NamedTuple):
    """The rows of a file of labels, their boxes in pixels."""

    width: int
    height: int
    labels: list[float]
    written: list[str]
    boxes: list[tuple[float, float, float, float]]
    shapes: list[Shape | None]

    def annotation(self, num_classes: int) -> Annotation:
        """Return the annotation; labels that are no class are kept for the audit."""
        own = [int(n) if n in range(num_classes) else -1 for n in self.labels]
        return Annotation(
            self.width,
            self.height,
            boxes=np.array(self.boxes, np.float64).reshape(-1, 4),
            labels=np.array(own, np.int64),
            shapes=self.shapes if any(s is not None for s in self.shapes) else None,
            unknown=tuple(w for w, n in zip(self.written, own, strict=True) if n < 0),
        )


class _Labels:
    """Finds and reads the labels of images."""

    def __init__(self, folder: Path, keypoints: int) -> None:
        self.folder, self.keypoints = folder, keypoints
        self._names: dict[str, dict[str, str]] = {}
        self._inner: dict[str, list[str]] = {}
        self._own: dict[str, str | None] = {}

    def tried(self, image: str) -> list[str]:
        """Return where the labels of an image may lie, the usual place first.

        The last folder that is called as those of images becomes one of labels; else labels lie
        beside the image, or in a folder of theirs there.
        """
        folder, _, name = image.rpartition("/")
        own = name[: name.rfind(".")] + ".txt"
        parts = folder.split("/")
        above = len(self.folder.parts) - 1
        places = []
        for i in range(len(parts) - 1, max(above, 0), -1):
            if parts[i].casefold() in _PICTURES:
                head = "/".join(parts[:i])
                labels = (*_LABELS, *self._called_so(head))
                places += ["/".join([head, label, *parts[i + 1 :], own]) for label in labels]
                break
        beside = folder.rpartition("/")[0] if len(parts) - 1 > above else folder
        return [
            *places, f"{folder}/{own}", *(f"{folder}/{label}/{own}" for label in _LABELS[:2]),
            *(f"{beside}/{label}/{own}" for label in self._called_so(beside)
              if not self._has_pictures(beside)),
        ]  # fmt: skip

    def _has_pictures(self, folder: str) -> bool:
        """Tell whether a folder called as those of images lies in a folder: labels are its."""
        key = f"{folder}/*"
        if key not in self._inner:
            names = scan.subfolders(Path(folder))
            self._inner[key] = [name for name in names if name.casefold() in _PICTURES]
        return bool(self._inner[key])

    def _called_so(self, folder: str) -> list[str]:
        """Return the folders in a folder of whose name a word says labels: ``yolo_labels``."""
        if folder not in self._inner:
            self._inner[folder] = [
                name for name in scan.subfolders(Path(folder)) if set(_LABELS) & set(words(name))
            ]
        return self._inner[folder]

    def of(self, image: str) -> str | None:
        """Return the file of labels of an image, whatever the case of its folders."""
        if image not in self._own:
            tried = map(self._there, self.tried(image))
            self._own[image] = next((path for path in tried if path), None)
        return self._own[image]

    def _there(self, path: str) -> str | None:
        """Return a path as it is on disk, or None; names are compared without case where needed."""
        folder, _, name = path.rpartition("/")
        if folder not in self._names:
            real = folder if os.path.isdir(folder) else self._folder(folder)  # noqa: PTH112
            names = files.names_in(real) if real else []
            self._names[folder] = {_plain(n): f"{real}/{n}" for n in names}
        return self._names[folder].get(_plain(name))

    def _folder(self, folder: str) -> str | None:
        head, _, tail = folder.rpartition("/")
        if not head or len(head) < len(str(self.folder.parent)):
            return None
        real = head if os.path.isdir(head) else self._folder(head)  # noqa: PTH112
        if real is None:
            return None
        same = [n for n in files.names_in(real) if _plain(n) == _plain(tail)]
        return f"{real}/{same[0]}" if same else None

    def read(self, image: str) -> _Rows | str:
        """Return the rows of an image, or why the image cannot be opened."""
        try:
            width, height = files.upright_size(image)
        except DataError as error:
            return str(error)
        rows = _Rows(width, height, [], [], [], [])
        path = self.of(image)
        if path is None:
            return rows
        for number, line in enumerate(re.split(r"\r\n|\n|\r", text.read(Path(path))), start=1):
            self._add(rows, line, f"{path}:{number}")
        return rows

    def _add(self, rows: _Rows, line: str, where: str) -> None:
        numbers = _parse(line)
        if not numbers and not line.strip():
            return
        posed = self.keypoints and len(numbers) == 5 + self.keypoints
        if not posed and (len(numbers) < 5 or len(numbers) == 6 or len(numbers) % 2 == 0):
            raise DataError(
                f"{where}: neither 'class cx cy w h' nor 'class x1 y1 x2 y2 x3 y3 ...', but "
                f"{line[:60]!r}"
            )
        rows.labels.append(numbers[0])
        rows.written.append(f"{line.split()[0]} ({where})")
        if len(numbers) == 5 or posed:
            _, cx, cy, w, h = numbers[:5]
            x1, y1, x2, y2 = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
            rows.boxes.append(
                (x1 * rows.width, y1 * rows.height, x2 * rows.width, y2 * rows.height)
            )
            rows.shapes.append(None)
        else:
            points = np.array(numbers[1:]).reshape(-1, 2) * (rows.width, rows.height)
            rows.boxes.append((*points.min(axis=0).tolist(), *points.max(axis=0).tolist()))
            rows.shapes.append([points])


def _plain(name: str) -> str:
    """Return a name without regard to case and to the form of its accents."""
    return unicodedata.normalize("NFC", name).casefold()


def _is_label(path: Path) -> bool:
    """Tell whether a file holds rows of numbers as labels do; an empty one may."""
    try:
        rows = [_parse(line) for line in text.lines(path)[:3]]
    except DataError:
        return False
    return all(len(row) >= 5 for row in rows)


def _parse(line: str) -> list[float]:
    """Parse the numbers of a line; empty when one of them is no number."""
    try:
        numbers = [float(part) for part in line.split()]
    except ValueError:
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def _lines(objects: Annotation, height: int, width: int) -> list[str]:
    assert objects.crowd is not None
    shapes = objects.shapes or [None] * len(objects.boxes)
    written = []
    for box, label, shape, crowd in zip(
        objects.boxes, objects.labels, shapes, objects.crowd, strict=True
    ):
        if crowd:
            continue
        points = None if shape is None else outlines.to_polygon(shape, height, width)
        if points is None:
            x1, y1, x2, y2 = box / (width, height, width, height)
            values = np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1])
        else:
            values = (points / (width, height)).ravel()
        written.append(" ".join([str(label), *(f"{v:.9g}" for v in values)]) + "\n")
    return written
