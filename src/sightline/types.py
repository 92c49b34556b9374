"""Define the types that cross rooms: tasks, samples and predictions.

Units are part of the type: boxes are float32 ``xyxy`` in absolute pixels (the right and
lower edge are exclusive, so that width = x2 - x1), masks are boolean N,H,W, class ids
index ``classes``, scores lie in [0, 1], label maps use 255 for pixels to be ignored.
"""

from __future__ import annotations

import html
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

Progress = Callable[[int, int], None]
"""Called with (done, total) while something long goes on."""

_CORNERS = ("xmin", "ymin", "xmax", "ymax")

IGNORE = 255
"""Label of a pixel that counts neither for nor against anybody."""

_BLOCK, _ROWS = 512, 64
"""Pixels a side of the parts in which a picture's pixels are decided, and rows of those in which
they are counted: what is kept of them takes many times their memory."""


class Task(StrEnum):
    """What is asked of an image."""

    CLASSIFY = "classify"
    LOCALIZE = "localize"
    DETECT = "detect"
    SEGMENT = "segment"
    INSTANCES = "instances"
    STYLE = "style"
    ANOMALY = "anomaly"
    MULTILABEL = "multilabel"
    REGRESS = "regress"
    GENERATE = "generate"


@dataclass(frozen=True, slots=True)
class Frame:
    """How a picture was brought to a model's size, and the way back.

    A point x of the picture stands at ``x * scale + offset`` of the model's image; both are counted
    in pixels from the left (upper) edge of the first one.

    Parameters
    ----------
    size : (height, width)
        Of the picture that was given, upright.
    scale : (vertical, horizontal)
        Model pixels a picture pixel.
    offset : (vertical, horizontal)
        Where the picture's upper left corner lies, in model pixels; negative where it is cut off.
    """

    size: tuple[int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)

    def into(self, boxes: NDArray[Any]) -> NDArray[np.float32]:
        """Return boxes of the picture, shape (N, 4), xyxy, in model pixels; not clipped."""
        return np.asarray(boxes * self._scales + self._offsets, np.float32)

    def back(self, boxes: NDArray[Any]) -> NDArray[np.float32]:
        """Return boxes of the model, shape (N, 4), xyxy, in picture pixels, perhaps beyond it."""
        return np.asarray(
            (np.asarray(boxes, np.float64) - self._offsets) / self._scales, np.float32
        )

    def out(self, boxes: NDArray[Any]) -> NDArray[np.float32]:
        """Return boxes of the model, shape (N, 4), xyxy, in picture pixels, cut to the picture."""
        h, w = self.size
        moved = (np.asarray(boxes, np.float64) - self._offsets) / self._scales
        return np.asarray(moved.clip(0, (w, h, w, h)), np.float32)

    def map_into(
        self, values: NDArray[Any], size: tuple[int, int], outside: int = 0
    ) -> NDArray[Any]:
        """Return a mask or label map (H, W) of the picture at the model's size.

        Parameters
        ----------
        values : bool, uint8 or int32 array, shape (H, W)
        size : (height, width)
            Of the model's image.
        outside : int
            Value of what lies outside the picture.
        """
        (sy, sx), (oy, ox) = self.scale, self.offset
        return _nearest(values, size, (1 / sx, 0, -ox / sx, 0, 1 / sy, -oy / sy), outside)

    def map_out(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a mask or label map (h, w) of the model's image at the picture's size."""
        (sy, sx), (oy, ox) = self.scale, self.offset
        return _nearest(values, self.size, (sx, 0, ox, 0, sy, oy), 0)

    def classes_out(self, scores: NDArray[np.floating[Any]]) -> NDArray[np.integer[Any]]:
        """Decide the class of every pixel of the picture by scores of the model's pixels.

        The scores of each class are brought to the picture's size (smoothly, as an image is), and
        then compared; classes themselves are never interpolated.

        Parameters
        ----------
        scores : float array, shape (K, h, w)
            Of the model's image.

        Returns
        -------
        uint8 or int32 array, shape (H, W)
            The best class of each pixel; of equal ones the first.
        """
        h, w = self.size
        top, left = (round(o) for o in self.offset)
        part_h, part_w = (round(s * f) for s, f in zip(self.size, self.scale, strict=True))
        part = scores[:, max(top, 0) : top + part_h, max(left, 0) : left + part_w]
        kind = np.uint8 if len(scores) <= IGNORE else np.int32
        if part.shape[1:] == (h, w):
            return np.asarray(part.argmax(0), kind)
        part = np.ascontiguousarray(part, np.float32)
        classes = np.zeros((h, w), kind)
        # In blocks, whose scores take little memory, and in which few classes can be the best.
        for y in range(0, h, _BLOCK):
            for x in range(0, w, _BLOCK):
                block = classes[y : y + _BLOCK, x : x + _BLOCK]
                _decide(part, self.size, (y, x), block)
        return classes

    def picture_out(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a picture that a model drew, at the size of the picture it was given.

        Parameters
        ----------
        pixels : uint8 array, shape (h, w, C)
            C is 1 (grey) or 3 (RGB). Of the model's size, which shows the whole picture; what lies
            beyond it is cut off.

        Returns
        -------
        uint8 array, shape (H, W, C)
            Enlarged or reduced bilinearly.
        """
        from PIL import Image

        height, width = self.size
        shown = pixels[self.part]
        grey = shown.shape[2] == 1
        part = Image.fromarray(np.ascontiguousarray(shown[:, :, 0] if grey else shown))
        out = np.asarray(part.resize((width, height), Image.Resampling.BILINEAR))
        return out[:, :, None] if grey else out

    @property
    def part(self) -> tuple[slice, slice]:
        """Return the rows and columns of the model's image that show the picture."""
        top, left = map(round, self.offset)
        bottom, right = (round(o + s * f) for o, s, f in zip(
            self.offset, self.size, self.scale, strict=True))  # fmt: skip
        return slice(max(top, 0), bottom), slice(max(left, 0), right)

    @property
    def _scales(self) -> NDArray[np.float64]:
        return np.array((self.scale[1], self.scale[0]) * 2)

    @property
    def _offsets(self) -> NDArray[np.float64]:
        return np.array((self.offset[1], self.offset[0]) * 2)


def _decide(
    scores: NDArray[np.float32], size: tuple[int, int], corner: tuple[int, int],
    classes: NDArray[np.integer[Any]],
) -> None:  # fmt: skip
    """Write the best classes of a block of a picture, by scores of the whole, shape (K, h, w)."""
    from PIL import Image

    near, ends = list[slice](), list[tuple[float, float]]()
    for own, side, start, length in zip(scores.shape[1:], size, corner, classes.shape, strict=True):
        step = own / side
        first, last, reach = start * step, (start + length) * step, max(step, 1.0)
        begin, end = max(int(first - reach), 0), min(int(last + reach) + 1, own)
        near.append(slice(begin, end))
        ends.append((first - begin, min(last, own) - begin))
    (upper, lower), (left, right) = ends
    around = scores[:, *near]
    # A mean of scores is none above all, and the best is none below the best of all leasts.
    least = around.min((1, 2)).max()
    best = np.full(classes.shape, -np.inf, np.float32)
    for number in np.flatnonzero(around.max((1, 2)) >= least).tolist():
        image = Image.fromarray(np.ascontiguousarray(around[number]))
        enlarged = np.asarray(
            image.resize(
                classes.shape[::-1], Image.Resampling.BILINEAR, (left, upper, right, lower)
            )
        )
        better = enlarged > best
        np.copyto(best, enlarged, where=better)
        classes[better] = number


def _nearest(
    values: NDArray[Any], size: tuple[int, int], back: tuple[float, ...], outside: int
) -> NDArray[Any]:
    """Take each value from the nearest place; `back` leads from the new pixels to the old ones."""
    from PIL import Image

    kind = np.uint8 if values.dtype.itemsize == 1 else np.int32
    image = Image.fromarray(np.ascontiguousarray(values, kind))
    moved = image.transform(
        (size[1], size[0]), Image.Transform.AFFINE, back, Image.Resampling.NEAREST,
        fillcolor=outside,
    )  # fmt: skip
    return np.asarray(moved).astype(values.dtype)


@dataclass(frozen=True, slots=True)
class Classification:
    """The answer to *what is this?*: a class, and the probabilities of all.

    Parameters
    ----------
    probabilities : float array, shape (C,)
        One score a class, in [0, 1]; they add up to one.
    classes : tuple of str, length C
    label : int, optional
        The class decided for, where the method's rule is finer than the largest
        probability (k-NN breaks tied votes by distance). Default: the argmax.
    neighbours : Neighbours, optional
        The training images that decided, for methods that answer by comparing.
    picture : callable, optional
        Gives the picture that was asked about as a data URI, for notebooks.
    """

    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]
    label: int = -1
    neighbours: Neighbours | None = None
    picture: Callable[[], str] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        p = np.asarray(self.probabilities, np.float32)
        if p.shape != (len(self.classes),):
            raise DataError(
                f"probabilities have shape {p.shape}, but there are {len(self.classes)} classes"
            )
        object.__setattr__(self, "probabilities", p)
        if self.label < 0:
            object.__setattr__(self, "label", int(p.argmax()))

    def __repr__(self) -> str:
        others = ", ".join(f"{name} {score:.2f}" for name, score in self.top(4)[1:])
        return f"Classification({self.name} {self.score:.2f}{f'; {others}' if others else ''})"

    def _repr_html_(self) -> str:
        """Return the picture, where it is known, and a bar for each of the likeliest classes."""
        uri = "" if self.picture is None else self.picture()
        bars = "".join(
            f'<div style="background: linear-gradient(to right, #9fd3bf {100 * score:.0f}%, #eee '
            f'{100 * score:.0f}%); color: #000; margin: 2px 0; padding: 0 4px; min-width: 9em">'
            f"<bdi>{html.escape(name)}</bdi> {score:.0%}</div>"
            for name, score in self.top(5)
        )
        return (f'<img src="{uri}" alt="{html.escape(self.name)}">' if uri else "") + bars

    def rows(self) -> list[dict[str, Any]]:
        """Return the answer as one row of a table."""
        return [{"answer": self.name, "score": self.score}]

    @property
    def name(self) -> str:
        """Return the name of the class decided for."""
        return self.classes[self.label]

    @property
    def score(self) -> float:
        """Return the probability of the class decided for."""
        return float(self.probabilities[self.label])

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """Return the k most probable classes, the decided one first among equals."""
        order = np.lexsort((np.arange(len(self.classes)) != self.label, -self.probabilities))
        return [(self.classes[i], float(self.probabilities[i])) for i in order[:k]]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest training images of one query.

    Parameters
    ----------
    indices : int64 array, shape (k,)
        Rows of the training set, nearest first.
    distances : float64 array, shape (k,)
    labels : int64 array, shape (k,)
    votes : float64 array, shape (k,)
        Share of the votes that each has.
    """

    indices: NDArray[np.int64]
    distances: NDArray[np.float64]
    labels: NDArray[np.int64]
    votes: NDArray[np.float64]

    def __repr__(self) -> str:
        return f"Neighbours({len(self.indices)}: rows {self.indices[:5].tolist()})"


@dataclass(frozen=True, slots=True)
class Detections:
    """Objects in one image: detected ones, or (all scores 1) annotated ones.

    Parameters
    ----------
    boxes : float32 array, shape (N, 4)
        ``xyxy``, absolute pixels.
    labels : int64 array, shape (N,)
        Ids that index `classes`.
    classes : tuple of str
    scores : float32 array, shape (N,), optional
        In [0, 1]; default 1.
    masks : bool array, shape (N, H, W), optional
    crowd, difficult : bool array, shape (N,), optional
        COCO's and VOC's marks for annotations that evaluation treats apart.
    areas : float64 array, shape (N,), optional
        Square pixels, where an annotation states them beside the box.

    Raises
    ------
    DataError
        When lengths differ, a box has x2 < x1 or y2 < y1 or is not finite, a label is not
        an index of `classes`, a score lies outside [0, 1], or masks are not (N, H, W).
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    scores: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    masks: NDArray[np.bool_] | None = None
    crowd: NDArray[np.bool_] | None = None
    difficult: NDArray[np.bool_] | None = None
    areas: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        boxes = np.asarray(self.boxes, np.float32).reshape(-1, 4)
        n = len(boxes)
        labels = np.asarray(self.labels, np.int64).reshape(-1)
        scores = np.asarray(self.scores, np.float32).reshape(-1)
        if n and not len(scores):
            scores = np.ones(n, np.float32)
        for what, values in (
            ("labels", labels),
            ("scores", scores),
            ("masks", self.masks),
            ("crowd", self.crowd),
            ("difficult", self.difficult),
            ("areas", self.areas),
        ):
            if values is not None and len(values) != n:
                raise DataError(f"{n} boxes but {len(values)} {what}")
        if not np.isfinite(boxes).all() or (boxes[:, 2:] < boxes[:, :2]).any():
            raise DataError("boxes must be finite xyxy with x1 <= x2 and y1 <= y2")
        if n and (labels.min() < 0 or labels.max() >= len(self.classes)):
            raise DataError(f"labels must index the {len(self.classes)} classes")
        if not ((scores >= 0) & (scores <= 1)).all():
            raise DataError("scores must be between 0 and 1")
        for name, value in (("boxes", boxes), ("labels", labels), ("scores", scores)):
            object.__setattr__(self, name, value)
        for name in ("masks", "crowd", "difficult"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, np.asarray(getattr(self, name), np.bool_))
        if self.areas is not None:
            object.__setattr__(self, "areas", np.asarray(self.areas, np.float64))
        if self.masks is not None and self.masks.ndim != 3:
            raise DataError(f"masks must have shape (N, H, W), not {self.masks.shape}")

    def __len__(self) -> int:
        return len(self.boxes)

    def __repr__(self) -> str:
        first = [f"{n} {s:.2f}" for n, s in zip(self.names[:5], self.scores[:5], strict=True)]
        more = ", ..." if len(self) > 5 else ""
        return f"Detections({len(self)} objects{': ' * bool(first)}{', '.join(first)}{more})"

    def rows(self) -> list[dict[str, Any]]:
        """Return the objects as rows of a table: class, score and corners in pixels."""
        return [
            {"answer": name, "score": float(score),
             **dict(zip(_CORNERS, map(float, box), strict=True))}
            for name, score, box in zip(self.names, self.scores, self.boxes, strict=True)
        ]  # fmt: skip

    def to_frame(self) -> Any:
        """Return the objects as a `pandas.DataFrame`: the columns of `rows`, a row an object.

        Raises
        ------
        MissingExtraError
            When pandas is not installed.
        """
        columns = ["answer", "score", *_CORNERS]
        return _imported("pandas", "a data frame of objects", "tables").DataFrame(
            self.rows(), columns=columns
        )

    @classmethod
    def from_frame(cls, frame: Any, classes: Sequence[str]) -> Detections:
        """Read the objects of one image from a data frame (the inverse of `to_frame`).

        Parameters
        ----------
        frame : pandas.DataFrame
            With ``answer``, ``xmin``, ``ymin``, ``xmax``, ``ymax`` and perhaps ``score``.
        classes : sequence of str

        Raises
        ------
        DataError
            When a column is missing, or an answer is none of the classes.
        """
        missing = [name for name in ("answer", *_CORNERS) if name not in frame.columns]
        if missing:
            raise DataError(f"the data frame has no column {', '.join(missing)}")
        known = {name: i for i, name in enumerate(classes)}
        names = [str(name) for name in frame["answer"]]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise DataError(f"{unknown[0]!r} is none of the classes {', '.join(classes)}")
        scores = frame["score"] if "score" in frame.columns else np.ones(len(names))
        return cls(
            boxes=np.array([frame[name] for name in _CORNERS], np.float32).T.reshape(-1, 4),
            labels=np.array([known[name] for name in names], np.int64),
            classes=tuple(classes),
            scores=np.array(scores, np.float32),
        )

    @property
    def names(self) -> list[str]:
        """Return the class name of each object."""
        return [self.classes[i] for i in self.labels]

    def to_supervision(self) -> Any:
        """Return the same objects as ``supervision.Detections``.

        Raises
        ------
        MissingExtraError
            When supervision is not installed.
        """
        sv = _imported("supervision", "conversion to supervision.Detections", "dev")
        return sv.Detections(
            xyxy=self.boxes,
            class_id=self.labels,
            confidence=self.scores,
            mask=self.masks,
            data={"class_name": np.array(self.names)},
        )

    @classmethod
    def from_supervision(cls, detections: Any, classes: Sequence[str]) -> Detections:
        """Convert ``supervision.Detections``; ids must index `classes`."""
        n = len(detections.xyxy)
        confidence, ids = detections.confidence, detections.class_id
        return cls(
            boxes=detections.xyxy,
            labels=np.zeros(n, np.int64) if ids is None else ids,
            classes=tuple(classes),
            scores=np.ones(n, np.float32) if confidence is None else confidence,
            masks=detections.mask,
        )

    def to_coco(
        self, image_id: int, *, first_category: int = 1, categories: Sequence[int] = ()
    ) -> list[dict[str, Any]]:
        """Return COCO's result form: a list of dicts with ``bbox`` as xywh.

        Where areas and marks of crowds are known, they are told. Masks become compressed RLE.

        Parameters
        ----------
        image_id : int
        first_category : int
            Number of the first class; the others follow.
        categories : sequence of int, optional
            Number of each class instead, as data sets have them with gaps.
        """
        ids = categories or range(first_category, first_category + len(self.classes))
        rows: list[dict[str, Any]] = []
        for i, (x1, y1, x2, y2) in enumerate(self.boxes.astype(float).tolist()):
            row: dict[str, Any] = {
                "image_id": image_id,
                "category_id": int(ids[self.labels[i]]),
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "score": float(self.scores[i]),
            }
            if self.areas is not None and not np.isnan(self.areas[i]):
                row["area"] = float(self.areas[i])
            if self.crowd is not None:
                row["iscrowd"] = int(self.crowd[i])
            if self.masks is not None:
                from pycocotools import mask as rle

                code = rle.encode(np.asfortranarray(self.masks[i].astype(np.uint8)))
                row["segmentation"] = {
                    "size": list(code["size"]),
                    "counts": code["counts"].decode("ascii"),
                }
            rows.append(row)
        return rows

    @classmethod
    def from_coco(
        cls, rows: Sequence[dict[str, Any]], classes: Sequence[str], *, first_category: int = 1,
        categories: Sequence[int] = (),
    ) -> Detections:  # fmt: skip
        """Read COCO result rows of one image (the inverse of `to_coco`).

        Parameters
        ----------
        rows : sequence of dict
        classes : sequence of str
        first_category : int
        categories : sequence of int, optional
            See `to_coco`.

        Raises
        ------
        DataError
            When a row's category is none of them.
        """
        ids = list(categories or range(first_category, first_category + len(classes)))
        unknown = [row["category_id"] for row in rows if row["category_id"] not in ids]
        if unknown:
            raise DataError(f"the category {unknown[0]} is none of {', '.join(map(str, ids))}")
        xywh = np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4)
        masks = None
        if rows and all("segmentation" in row for row in rows):
            from pycocotools import mask as rle

            masks = np.stack([rle.decode(row["segmentation"]).astype(bool) for row in rows])
        return cls(
            boxes=np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1).astype(
                np.float32
            ),
            labels=np.array([ids.index(row["category_id"]) for row in rows], np.int64),
            classes=tuple(classes),
            scores=np.array([row.get("score", 1.0) for row in rows], np.float32),
            masks=masks,
            crowd=np.array([bool(row["iscrowd"]) for row in rows])
            if rows and all("iscrowd" in row for row in rows)
            else None,
            areas=np.array([row.get("area", np.nan) for row in rows], np.float64)
            if any("area" in row for row in rows)
            else None,
        )


@dataclass(frozen=True, slots=True)
class Instances:
    """Objects in one image with their masks, as run-length codes: no mask is drawn.

    Parameters
    ----------
    size : (height, width)
        Of the picture.
    codes : tuple of bytes, length N
        COCO's compressed counts.
    labels : int64 array, shape (N,)
        Ids that index `classes`.
    classes : tuple of str
    scores : float64 array, shape (N,), optional
        In [0, 1]; default 1.
    crowd, difficult : bool array, shape (N,), optional
        Marks of annotations that evaluation treats apart; default False.
    areas : float64 array, shape (N,), optional
        Square pixels, where an annotation states them beside the mask; else nan.

    Raises
    ------
    DataError
        When lengths differ, a label is no class or a score lies outside [0, 1].
    """

    size: tuple[int, int]
    codes: tuple[bytes, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    crowd: NDArray[np.bool_] | None = None
    difficult: NDArray[np.bool_] | None = None
    areas: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        n = len(self.codes)
        for name, kind, default in (
            ("labels", np.int64, 0), ("scores", np.float64, 1.0), ("crowd", np.bool_, False),
            ("difficult", np.bool_, False), ("areas", np.float64, np.nan),
        ):  # fmt: skip
            given = getattr(self, name)
            if given is None or (name == "scores" and not len(given)):
                given = np.full(n, default)
            if len(given) != n:
                raise DataError(f"{n} masks but {len(given)} {name}")
            object.__setattr__(self, name, np.asarray(given, kind))
        if n and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise DataError(f"labels must index the {len(self.classes)} classes")
        if not ((self.scores >= 0) & (self.scores <= 1)).all():
            raise DataError("scores must be between 0 and 1")

    def __len__(self) -> int:
        return len(self.codes)

    def __repr__(self) -> str:
        height, width = self.size
        return f"{type(self).__name__}({len(self)} objects, {width}x{height})"

    @property
    def names(self) -> list[str]:
        """Return the class name of each object."""
        return [self.classes[i] for i in self.labels]

    @property
    def rle(self) -> list[dict[str, Any]]:
        """Return the codes as COCO writes them."""
        return [{"size": list(self.size), "counts": code} for code in self.codes]

    @property
    def pixels(self) -> NDArray[np.float64]:
        """Return how many pixels each mask has, shape (N,)."""
        from pycocotools import mask as coco_mask

        # One by one: pycocotools cannot count more than 255 masks in one go.
        return np.array([coco_mask.area(code) for code in self.rle], np.float64)

    @property
    def boxes(self) -> NDArray[np.float64]:
        """Return the smallest box around each mask, shape (N, 4), xyxy."""
        if not self.codes:
            return np.zeros((0, 4))
        from pycocotools import mask as coco_mask

        x, y, w, h = np.asarray(coco_mask.toBbox(self.rle), np.float64).T
        return np.stack((x, y, x + w, y + h), 1)

    def mask(self, i: int) -> NDArray[np.bool_]:
        """Draw the mask of one object, shape (H, W)."""
        from pycocotools import mask as coco_mask

        return np.asarray(coco_mask.decode(self.rle[i]), np.bool_)

    def taken(self, rows: Sequence[int] | NDArray[Any]) -> Self:
        """Return some of the objects, by their numbers, in this order."""
        kept = np.asarray(rows, np.int64)
        marks = (getattr(self, n)[kept] for n in ("scores", "crowd", "difficult", "areas"))
        codes = tuple(self.codes[i] for i in kept.tolist())
        return type(self)(self.size, codes, self.labels[kept], self.classes, *marks)

    def rows(self) -> list[dict[str, Any]]:
        """Return the objects as rows of a table: class, score, pixels and corners in pixels."""
        return [
            {"answer": name, "score": float(score), "area": int(area),
             **dict(zip(_CORNERS, map(float, box), strict=True))}
            for name, score, area, box in zip(
                self.names, self.scores, self.pixels, self.boxes, strict=True
            )
        ]  # fmt: skip

    def to_coco(self, image_id: int, *, categories: Sequence[int] = ()) -> list[dict[str, Any]]:
        """Return COCO's result form: a list of dicts with compressed RLE.

        Parameters
        ----------
        image_id : int
        categories : sequence of int, optional
            COCO's number of each class; default 1, 2, ...
        """
        ids = categories or range(1, 1 + len(self.classes))
        return [
            {
                "image_id": image_id, "category_id": int(ids[label]),
                "bbox": [x1, y1, x2 - x1, y2 - y1], "score": float(score), "area": float(area),
                "segmentation": {"size": list(self.size), "counts": code.decode("ascii")},
            }
            for label, score, area, (x1, y1, x2, y2), code in zip(
                self.labels.tolist(), self.scores, self.pixels, self.boxes.tolist(), self.codes,
                strict=True,
            )
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The class of every pixel.

    Parameters
    ----------
    label_map : uint8 or int32 array, shape (H, W)
        Class ids; 255 is to be ignored.
    classes : tuple of str
        Names by id, the background's included where there is one.
    """

    label_map: NDArray[np.integer[Any]]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.label_map.ndim != 2:
            raise DataError(f"a label map must have shape (H, W), not {self.label_map.shape}")

    def __repr__(self) -> str:
        height, width = self.label_map.shape
        largest = sorted(self.shares.items(), key=lambda share: -share[1])[:5]
        said = ", ".join(f"{name} {share:.0%}" for name, share in largest if share)
        return f"Segmentation({width}x{height}: {said})"

    def rows(self) -> list[dict[str, Any]]:
        """Return the share of each class that covers any pixel as rows of a table."""
        return [{"answer": name, "share": share} for name, share in self.shares.items() if share]

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Return the number of pixels of each class, int64, shape (C,); ignored ones are none's."""
        counts = np.zeros(max(len(self.classes), IGNORE + 1), np.int64)
        for start in range(0, len(self.label_map), _ROWS):  # counting takes 8 bytes a pixel
            part = self.label_map[start : start + _ROWS].ravel()
            counts += np.bincount(part, minlength=len(counts))
        if len(self.classes) <= IGNORE:
            counts[IGNORE] = 0
        return counts[: len(self.classes)]

    @property
    def shares(self) -> dict[str, float]:
        """Return the fraction of the counted pixels that each class covers."""
        counts = self.pixels
        total = max(int(counts.sum()), 1)
        return {name: float(counts[i]) / total for i, name in enumerate(self.classes)}


@dataclass(frozen=True, slots=True)
class Labels:
    """The answer to *what is there to say of this?*: the probability of each of several labels.

    Parameters
    ----------
    probabilities : float32 array, shape (K,)
        In [0, 1], each for itself.
    classes : tuple of str, length K
    thresholds : tuple of float, length K, optional
        From which on a label is told; default: 0.5.
    """

    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]
    thresholds: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        p = np.asarray(self.probabilities, np.float32)
        if p.shape != (len(self.classes),):
            raise DataError(
                f"probabilities have shape {p.shape}, but there are {len(self.classes)} labels"
            )
        object.__setattr__(self, "probabilities", p)

    def __repr__(self) -> str:
        said = ", ".join(f"{name} {score:.2f}" for name, score in self.told())
        return f"Labels({said or 'none'})"

    def told(self, limits: float | Sequence[float] = 0.0) -> list[tuple[str, float]]:
        """Return the labels that reach their threshold with their probabilities, likeliest first.

        Parameters
        ----------
        limits : float or sequence of float
            For all, or for each; 0: the answer's own.
        """
        asked: Any = limits if isinstance(limits, int | float) else tuple(limits)
        own = np.asarray(asked or self.thresholds or 0.5, np.float32)
        reached = self.probabilities >= own
        return [(name, p) for name, p in self.top(len(self.classes))
                if reached[self.classes.index(name)]]  # fmt: skip

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """Return the k likeliest labels with their probabilities, whether they are told or not."""
        order = np.argsort(-self.probabilities, kind="stable")[:k].tolist()
        return [(self.classes[i], float(self.probabilities[i])) for i in order]

    def rows(self) -> list[dict[str, Any]]:
        """Return the labels that are told as rows of a table."""
        return [{"answer": name, "score": score} for name, score in self.told()]


@dataclass(frozen=True, slots=True)
class Estimate:
    """The answer to *how much?*: a number, and an interval around it.

    Parameters
    ----------
    value : float
    low, high : float
        Ends of the interval.
    name : str
        What the number is.
    """

    value: float
    low: float
    high: float
    name: str = ""

    def __repr__(self) -> str:
        return f"Estimate({self.name} {self.value:.4g}, {self.low:.4g} to {self.high:.4g})"

    def rows(self) -> list[dict[str, Any]]:
        """Return the answer as one row of a table."""
        return [{"answer": self.value, "low": self.low, "high": self.high}]


@dataclass(frozen=True, slots=True)
class Anomaly:
    """The answer to *is this as it should be?*: how odd a picture is, and where.

    Parameters
    ----------
    score : float
        In [0, 1]; at 0.5 lies the threshold that was set on good pictures.
    heat : float32 array, shape (h, w), optional
        The same of each place of the model's image; None where a method knows no places.
    frame : Frame
        The way from these places into the picture.
    """

    score: float
    heat: NDArray[np.float32] | None
    frame: Frame

    def __post_init__(self) -> None:
        if not 0 <= self.score <= 1:
            raise DataError(f"an anomaly's score must be between 0 and 1, not {self.score}")
        if self.heat is not None and self.heat.ndim != 2:
            raise DataError(f"a heat map must have shape (H, W), not {self.heat.shape}")

    def __repr__(self) -> str:
        height, width = self.frame.size
        where = "" if self.heat is None else f"; a map of {width}x{height}"
        return f"Anomaly({self.score:.3f}{where})"

    def rows(self) -> list[dict[str, Any]]:
        """Return the answer as one row of a table."""
        return [{"answer": "anomaly" if self.score >= ODD else "good", "score": self.score}]

    def heat_out(self, size: tuple[int, int] | None = None) -> NDArray[np.float32]:
        """Return the map at the picture's size, float32 (H, W); zeros where there is none.

        Parameters
        ----------
        size : (height, width), optional
            Another size, to which the whole picture is brought.
        """
        from PIL import Image

        height, width = size or self.frame.size
        if self.heat is None:
            return np.zeros((height, width), np.float32)
        image = Image.fromarray(np.ascontiguousarray(self.heat[self.frame.part], np.float32))
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float32)


ODD = 0.5
"""Score from which on a picture is no good one: where its run's threshold lies."""


@dataclass(frozen=True, slots=True)
class Generated:
    """Images made by a model: uint8, shape (N, H, W, C)."""

    images: NDArray[np.uint8]

    def __repr__(self) -> str:
        return f"Generated({self.images.shape} {self.images.dtype})"


Prediction = (
    Classification | Labels | Estimate | Detections | Instances | Segmentation | Anomaly | Generated
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One image with what is known of it.

    Parameters
    ----------
    image : uint8 array, shape (H, W, C)
        C is 1 (grey) or 3 (RGB).
    id : str
        Unique within its data set, stable between readings.
    label : int, optional
    objects : Detections, optional
    segmentation : Segmentation, optional
    frame : Frame, optional
        The way back into the picture; None: the image is the picture.
    """

    image: NDArray[np.uint8]
    id: str
    label: int | None = None
    objects: Detections | None = None
    segmentation: Segmentation | None = None
    frame: Frame | None = None

    def __repr__(self) -> str:
        height, width, channels = self.image.shape
        label = "" if self.label is None else f", label={self.label}"
        objects = "" if self.objects is None else f", {len(self.objects)} objects"
        return f"Sample({self.id!r}, {width}x{height}x{channels}{label}{objects})"

    def resized(self, image: NDArray[np.uint8], frame: Frame) -> Sample:
        """Return the sample with a resized image, its boxes and masks moved along.

        Boxes that leave the image are cut; those without a pixel left in it are left out.
        """
        objects, segmentation, size = self.objects, self.segmentation, image.shape[:2]
        if objects is not None:
            h, w = size
            boxes = frame.into(objects.boxes).clip(0, (w, h, w, h))
            keep = ((boxes[:, 2:] - boxes[:, :2]) >= 1).all(1)
            masks = objects.masks
            if masks is not None:
                shown = [frame.map_into(mask, (h, w)) for mask in masks[keep]]
                masks = np.stack(shown) if shown else np.zeros((0, h, w), np.bool_)
            marks = {
                name: None if (mark := getattr(objects, name)) is None else mark[keep]
                for name in ("crowd", "difficult")
            }
            objects = Detections(
                boxes[keep], objects.labels[keep], objects.classes, objects.scores[keep], masks,
                **marks,
            )  # fmt: skip
        if segmentation is not None:
            label_map = frame.map_into(segmentation.label_map, (size[0], size[1]), IGNORE)
            segmentation = Segmentation(label_map, segmentation.classes)
        return Sample(image, self.id, self.label, objects, segmentation, frame)


def _imported(name: str, what: str, extra: str) -> Any:
    """Import a package of an extra, or say what needs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(what, extra) from error
