"""Find errors in a data set that would silently spoil training."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import (
    audit_jumps,
    audit_masks,
    audit_outlines,
    depth,
    duplicates,
    images,
    place,
    store,
)
from sightline.data.annotation import Annotation
from sightline.data.audit_masks import drawn_alone
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.data.notes import Note, Severity
from sightline.errors import SightlineError
from sightline.types import Progress, Task

EXAMPLES = 5
IMBALANCE = 10
FEW = 10
TINY = 16
SLIVER = 1 + 1e-6
"""Pixels; a box at most one wide or high is a slip of the mouse, also where its format
includes the last pixel."""
_SUFFIX = {
    "JPEG": (".jpg", ".jpeg", ".jfif"), "MPO": (".jpg", ".jpeg"), "PNG": (".png",),
    "GIF": (".gif",), "BMP": (".bmp",), "WEBP": (".webp",), "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm"), "AVIF": (".avif",), "HEIF": (".heic", ".heif", ".hif"),
}  # fmt: skip
_ALPHA = frozenset(("RGBA", "RGBa", "LA", "La", "PA"))
_GREY = frozenset(("1", "L", "LA", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"))
_UNUSUAL = frozenset(("CMYK", "YCbCr", "LAB"))
TENTH = 0.1
"""Of their range: deep files that use less of it were written with fewer bits than they have."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem of one kind, with the images that have it.

    Parameters
    ----------
    kind : str
        Stable name, such as ``"unreadable"``.
    severity : {"error", "warning", "note"}
    count : int
        Images, boxes or classes concerned.
    text : str
        What is wrong.
    mend : str
        What to do about it; "" when there is nothing to do.
    examples : tuple of str
        The first few.
    rows : tuple of int
        Rows of the images that a fixed copy changes or leaves out.
    """

    kind: str
    severity: Severity
    count: int
    text: str
    mend: str
    examples: tuple[str, ...]
    rows: tuple[int, ...] = ()


@dataclass(slots=True)
class Audit:
    """All findings of a data set, errors first."""

    findings: list[Finding]
    images: int
    pairs: list[duplicates.Pair] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """Return the number of findings that are errors."""
        return sum(f.severity == "error" for f in self.findings)

    def find(self, kind: str) -> Finding | None:
        """Return the finding of a kind, or None."""
        return next((f for f in self.findings if f.kind == kind), None)


@dataclass(frozen=True, slots=True)
class Facts:
    """What was measured of one file."""

    why_not: str | None = None
    format: str | None = None
    mode: str = ""
    size: tuple[int, int] = (0, 0)
    rotated: bool = False
    animated: bool = False
    used: float | None = None  # of files of more than 8 bits: the share of their range
    prints: tuple[bytes, int, NDArray[np.uint8]] | None = None


def audit(
    data: Dataset, progress: Progress | None = None, *, size: int = audit_masks.SIDE
) -> Audit:
    """Check every image and annotation of a data set.

    Parameters
    ----------
    data : Dataset
        Loaded, which may have left unreadable images out of its splits; all its items are
        looked at here.
    progress : callable, optional
        Called with (images seen, images in all).
    size : int
        Pixels of the longer side that networks are trained at: objects that have no pixel left
        there are a finding.
    """
    source = data.source
    facts = _facts(source, progress)
    sizes = _sizes(data, facts)
    readable = [i for i, f in enumerate(facts) if f.prints is not None]
    pairs = duplicates.find(_prints(facts, readable))
    findings = [
        *_files(data, facts),
        *_duplicates(data, pairs),
        *_boxes(data, sizes),
        *_outlines(data, sizes, size),
        *_classes(data),
        *_jumps(data),
        *_notes(data),
    ]
    order = {"error": 0, "warning": 1, "note": 2}
    return Audit(sorted(findings, key=lambda f: order[f.severity]), len(source.items), pairs)


def _facts(source: Source, progress: Progress | None) -> list[Facts]:
    paths = [item.image for item in source.items if place.is_file(item.image)]
    if len(paths) == len(source.items):
        parts = store.in_chunks(_look_at_files, paths, progress=progress, chunk=128)
        return [f for part in parts for f in part]
    facts = []
    for i, item in enumerate(source.items):
        facts.append(_look_at_array(item.read_image(source.mode)))
        if progress:
            progress(i + 1, len(source.items))
    return facts


def _look_at_files(first: int, paths: list[place.Place]) -> list[Facts]:
    return [_look_at(path) for path in paths]


def _look_at(path: place.Place) -> Facts:
    try:
        with images.open_checked(path) as header:
            kind, mode, deep = header.format, header.mode, depth.is_deep(header)
            image = images.upright(header, str(path))
            rotated = image is not header
            plain = images.to_mode(image, "L" if images.is_grey(image) else "RGB")
            prints = duplicates.print_of(plain)
            animated = _animated(header)
    except SightlineError as error:
        return Facts(why_not=str(error))
    if "transparency" in image.info:
        mode += "+alpha"
    used = np.asarray(plain).max() / 255 if deep else None
    return Facts(None, kind, mode, image.size, rotated, animated, used, prints)


def _animated(image: Any) -> bool:
    try:
        # `n_frames` would walk through all of them.
        return bool(getattr(image, "is_animated", False))
    except (OSError, EOFError, SyntaxError, ValueError, TypeError, KeyError):
        return True  # there is more than the first, though not whole


def _look_at_array(pixels: NDArray[np.uint8]) -> Facts:
    image = images.as_picture(pixels)
    return Facts(mode=image.mode, size=image.size, prints=duplicates.print_of(image))


def _prints(facts: list[Facts], readable: list[int]) -> duplicates.Prints:
    prints = [p for i in readable if (p := facts[i].prints) is not None]
    return duplicates.Prints(
        np.array(readable, np.int64),
        [p[0] for p in prints],
        np.array([p[1] for p in prints], np.uint64),
        np.stack([p[2] for p in prints]) if prints else np.zeros((0, 1, 1, 3), np.uint8),
    )


def _files(data: Dataset, facts: list[Facts]) -> list[Finding]:
    items = data.source.items
    uniform = len({f.size for f in facts if not f.why_not}) == 1
    colour = data.mode == "RGB"

    def rows(test: Any) -> list[int]:
        return [i for i, f in enumerate(facts) if f.why_not is None and test(i, f)]

    broken = [i for i, f in enumerate(facts) if f.why_not]
    reasons = {i: str(facts[i].why_not).removeprefix(f"{items[i].image}: ") for i in broken}
    checks: list[tuple[str, Severity, list[int], str, str]] = [
        ("unreadable", "error", broken, "files that cannot be read as images",
         "remove them or fetch them again (a fixed copy leaves them out)"),
        ("wrong-extension", "warning", rows(lambda i, f: _wrong_suffix(items[i], f)),
         "files whose ending is not their format's", "rename them (a fixed copy does)"),
        ("exif-rotation", "warning", rows(lambda i, f: f.rotated),
         "images that EXIF turns: programs that ignore it see them lying",
         "bake the rotation in (a fixed copy does)"),
        ("alpha", "warning", rows(lambda i, f: f.mode in _ALPHA or f.mode.endswith("+alpha")),
         "images with transparency, which is laid on white here",
         "flatten them (a fixed copy does)"),
        ("grey", "note", rows(lambda i, f: colour and f.mode.removesuffix("+alpha") in _GREY),
         "grey images among colour ones; their three channels will be equal", ""),
        ("unusual-mode", "note", rows(lambda i, f: f.used is not None or f.mode in _UNUSUAL),
         "CMYK, LAB or 16-bit images; they are read as 8-bit grey or RGB", ""),
        ("dark", "warning", _dark(facts),
         f"16-bit files that use under {TENTH:.0%} of their range: they are read as nearly black",
         "scale them: a camera or scanner of 12 bits may have written them"),
        ("animation", "warning", rows(lambda i, f: f.animated and f.format != "MPO"),
         "animations or multi-page files; only the first frame is seen",
         "split them (a fixed copy keeps the first frame)"),
        ("tiny", "warning", rows(lambda i, f: not uniform and min(f.size) < TINY),
         f"images under {TINY} pixels a side", "look at them: often thumbnails or trackers"),
    ]  # fmt: skip
    return [
        Finding(
            kind, severity, len(cases), text, mend,
            tuple(
                f"{items[i].id} ({reasons[i]})" if i in reasons else items[i].id
                for i in cases[:EXAMPLES]
            ),
            tuple(cases),
        )
        for kind, severity, cases, text, mend in checks
        if cases
    ]  # fmt: skip


def _dark(facts: list[Facts]) -> list[int]:
    """Return the deep files where even the brightest one uses little of its range."""
    used = {i: f.used for i, f in enumerate(facts) if f.used is not None}
    return list(used) if used and max(used.values()) < TENTH else []


def _wrong_suffix(item: Item, facts: Facts) -> bool:
    if not place.is_file(item.image) or facts.format is None:
        return False
    return place.suffix_of(item.image) not in _SUFFIX.get(facts.format, ())


def _duplicates(data: Dataset, pairs: list[duplicates.Pair]) -> list[Finding]:
    items = data.source.items
    split_of = {int(row): name for name, rows in data.rows.items() for row in rows}
    groups: dict[tuple[str, Severity], list[duplicates.Pair]] = collections.defaultdict(list)
    for pair in pairs:
        a, b = split_of.get(pair.first), split_of.get(pair.second)
        first, second = items[pair.first].label, items[pair.second].label
        kind = "duplicate" if pair.exact else "near-duplicate"
        across = a is not None and b is not None and a != b
        if pair.exact and first != second:
            groups["conflicting-labels", "error"].append(pair)
        elif across:
            groups[f"{kind}-across-splits", "error" if pair.exact else "warning"].append(pair)
        else:
            groups[kind, "warning" if pair.exact else "note"].append(pair)
    said = {
        "conflicting-labels": ("pairs of identical images with different labels",
                               "decide which label is right (a fixed copy leaves both out)"),
        "duplicate-across-splits": ("pairs of identical images in two splits: the test is leaked",
                                    "keep one (a fixed copy keeps the one in test)"),
        "near-duplicate-across-splits": (
            "pairs of nearly identical images in two splits: the test may be leaked",
            "look at them; split with group=... if they come from one scene"),
        "duplicate": ("pairs of identical images in one split", "keep one (a fixed copy does)"),
        "near-duplicate": ("pairs of nearly identical images in one split", ""),
    }  # fmt: skip
    return [
        Finding(
            kind, severity, len(cases), *said[kind],
            tuple(f"{items[p.first].id} = {items[p.second].id}" for p in cases[:EXAMPLES]),
        )
        for (kind, severity), cases in groups.items()
    ]  # fmt: skip


def _boxes(data: Dataset, seen: list[tuple[int, int]]) -> list[Finding]:
    outside, empty, unknown, sizes = [], [], [], []
    for row, item in enumerate(data.source.items):
        annotation = item.annotation  # drawn ones are made right
        if not isinstance(annotation, Annotation):
            continue
        width, height = seen[row]
        stated = annotation.width, annotation.height
        if width and annotation.width and stated != (width, height) and not drawn_alone(annotation):
            sizes.append(
                f"{item.id} (states {annotation.width}x{annotation.height}, is {width}x{height})"
            )
        width, height = width or annotation.width, height or annotation.height
        for i, (x1, y1, x2, y2) in enumerate(annotation.boxes.tolist()):
            where = f"{item.id} box {i} ({x1:g}, {y1:g}, {x2:g}, {y2:g})"
            if not (x2 - x1 > SLIVER and y2 - y1 > SLIVER):
                empty.append(where)
            elif width and (min(x1, y1) < -0.51 or x2 > width + 0.51 or y2 > height + 0.51):
                outside.append(f"{where} in {width}x{height}")
            if annotation.labels[i] < 0:
                unknown.append(where)
    checks: Iterable[tuple[str, Severity, list[str], str, str]] = (
        ("box-without-area", "error", empty, "boxes without area (at most a pixel wide or high)",
         "remove them (a fixed copy does)"),
        ("box-outside", "error", outside, "boxes that reach outside their image",
         "cut them to the image (a fixed copy does)"),
        ("unknown-label", "error", unknown, "objects whose label is missing from the classes",
         "add the class, or remove the object (a fixed copy does)"),
        ("wrong-size", "error", sizes, "annotations that state another image size",
         "annotate the image that is there"),
    )  # fmt: skip
    return [
        Finding(kind, severity, len(cases), text, mend, tuple(cases[:EXAMPLES]))
        for kind, severity, cases, text, mend in checks
        if cases
    ]


def _outlines(data: Dataset, sizes: list[tuple[int, int]], side: int) -> list[Finding]:
    return [
        Finding(
            f.kind, f.severity, len(f.cases) if f.many is None else f.many, f.text, f.mend,
            tuple(f.cases[:EXAMPLES]), f.rows,
        )
        for f in (*audit_outlines.faults(data), *audit_masks.faults(data, sizes, side))
    ]  # fmt: skip


def _sizes(data: Dataset, facts: list[Facts]) -> list[tuple[int, int]]:
    """Return each image's (width, height), as it lies where its annotation takes it so."""
    sizes = []
    for item, known in zip(data.source.items, facts, strict=True):
        width, height = known.size
        stated = item.annotation
        turned = isinstance(stated, Annotation) and (stated.width, stated.height)
        if known.rotated and turned == (height, width):
            width, height = height, width  # annotated, and read, without the rotation
        sizes.append((width, height))
    return sizes


def _notes(data: Dataset) -> list[Finding]:
    """Return what reading the data left out, guessed or repaired."""
    return [
        Finding(n.kind, n.severity, n.concerned, str(n), n.mend, n.examples)
        for n in data.notes
        if isinstance(n, Note) and not n.seen
    ]


def _classes(data: Dataset) -> list[Finding]:
    counts = {name: class_counts(data, rows) for name, rows in data.rows.items()}
    train = counts.get("train", np.zeros(len(data.classes), np.int64))
    total = sum(counts.values(), np.zeros(len(data.classes), np.int64))
    if not total.any():
        return []
    names = np.array(data.classes, object)
    findings = []
    taught = "train" in counts and data.task is not Task.ANOMALY  # which good ones alone teach
    untrained = names[(train == 0) & (total > 0) & taught]
    few = names[(train > 0) & (train < FEW)]
    absent = names[total == 0]
    checks: Iterable[tuple[str, Severity, Any, str, str]] = (
        ("untrained-class", "error", untrained, "classes with examples, but none in train",
         "move some to train"),
        ("absent-class", "note", absent, "classes without any example", ""),
        ("small-class", "warning", few, f"classes with fewer than {FEW} examples in train",
         "collect more, or join classes"),
    )  # fmt: skip
    for kind, severity, cases, text, mend in checks:
        if len(cases):
            shown = tuple(str(n) for n in cases[:EXAMPLES])
            findings.append(Finding(kind, severity, len(cases), text, mend, shown))
    present = train[train > 0]
    if len(present) > 1 and present.max() >= IMBALANCE * present.min():
        big, small = int(train.argmax()), int(np.where(train > 0, train, train.max()).argmin())
        findings.append(
            Finding(
                "imbalance",
                "warning",
                len(present),
                f"the largest class has {present.max() / present.min():.0f} times the examples "
                "of the smallest",
                "read balanced accuracy, not accuracy; weigh or sample the classes",
                (f"{names[big]}: {train[big]:,}", f"{names[small]}: {train[small]:,}"),
            )
        )
    if len(data.classes) == 1 and data.task is Task.CLASSIFY:
        findings.append(Finding(
            "one-class", "error", 1, "there is one class only, so that nothing can be told apart",
            "name the folder that holds the folders of classes, or add a class", data.classes,
        ))  # fmt: skip
    return findings


def _jumps(data: Dataset) -> list[Finding]:
    jump = audit_jumps.jump(data)
    if jump is None:
        return []
    return [Finding(
        "class-jump", "warning", 1, "place where classes end and others begin",
        "if the list of classes was rewritten while labels were drawn, the earlier ones mean other "
        "classes: look at pictures of both sides, and draw anew or renumber one of them",
        (str(jump),),
    )]  # fmt: skip


def class_counts(data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the images (or, where objects are annotated, objects) of each class, shape (C,)."""
    counts = np.zeros(len(data.classes), np.int64)
    for row in rows:
        item = data.source.items[int(row)]
        if item.label >= 0:
            counts[item.label] += 1
            continue
        if item.labels is not None:
            counts[list(item.labels)] += 1
            continue
        annotation = item.read_annotation()
        if annotation is not None:
            labels = annotation.labels[annotation.labels >= 0]
            counts += np.bincount(labels, minlength=len(counts))[: len(counts)]
    return counts
