"""Project a data set into the plane by its features: pictures that look alike lie together.

Principal components (Pearson, 1901) keep the largest spread; t-SNE (van der Maaten & Hinton, 2008),
UMAP (McInnes et al., 2018) and PaCMAP (Wang et al., 2021) keep neighbours.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sightline.counting import counted
from sightline.data import duplicates, images
from sightline.data.dataset import Dataset, Split
from sightline.errors import DataError, MissingExtraError, ParameterError
from sightline.explain.seen import Seen, see
from sightline.training import run
from sightline.types import Progress

Method = Literal["tsne", "pca", "umap", "pacmap"]

IMAGES = 10_000
"""Pictures that are laid out at most; of more a sample is drawn."""

LEAST = 3
COMPONENTS = 50
"""Principal components that the methods of neighbours work on: what is beyond them is noise."""

NEIGHBOURS = 10
"""Nearest neighbours that `trust` looks at."""

JUDGED = 2_000
"""Pictures that `trust` is computed on at most: it compares each with each."""

PERPLEXITY = 30.0

ROOM = 9_000_000
"""Pixels of all thumbnails together."""

SIDES = (24, 96)
"""Pixels that a thumbnail has a side, at least and at most."""

Stage = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True, slots=True)
class Embedding:
    """Pictures of a data set as points of a plane.

    Parameters
    ----------
    data : Dataset
    seen : Seen
        The pictures, with their features and the run's answers.
    points : float64 array, shape (N, 2)
    method : {"tsne", "pca", "umap", "pacmap"}
    by : str
        The library that computed it.
    trust : float
        Trustworthiness (Venna & Kaski, 2001), in [0, 1]: 1 where the nearest neighbours in the
        plane are neighbours by the features, about 0.5 where they are anybody.
    judged : int
        Pictures that it was computed on.
    variance : float, or None
        Of PCA: the share of the variance that the plane keeps.
    splits : list of str, length N
    thumbnails : uint8 array, shape (N, side, side, C)
    near : list of (int, int)
        Pairs of points whose pictures are copies, or nearly.
    seed : int
    notes : list of str
    """

    data: Dataset
    seen: Seen
    points: NDArray[np.float64]
    method: str
    by: str
    trust: float
    judged: int
    variance: float | None
    splits: list[str]
    thumbnails: NDArray[np.uint8]
    near: list[tuple[int, int]]
    seed: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """Return the name of each picture."""
        return [self.data.source.items[int(row)].id for row in self.seen.rows]

    @property
    def mistakes(self) -> NDArray[np.bool_]:
        """Return which pictures the run takes for another class than theirs, shape (N,)."""
        said, classes = self.seen.predicted, self.data.classes
        if said is None:
            return np.zeros(len(self.points), np.bool_)
        truth = [classes[k] if k >= 0 else "" for k in self.seen.labels.tolist()]
        known = set(self.seen.eye.classes)
        pairs = zip(truth, said, strict=True)
        return np.array([name in known and name != answer for name, answer in pairs], np.bool_)

    @property
    def copied(self) -> NDArray[np.bool_]:
        """Return which pictures have a copy, or nearly one, among the others, shape (N,)."""
        made = np.zeros(len(self.points), np.bool_)
        made[[end for pair in self.near for end in pair]] = True
        return made

    def table(self) -> dict[str, list[Any]]:
        """Return the points as columns, a row a picture."""
        classes, said = self.data.classes, self.seen.predicted
        partners: list[list[str]] = [[] for _ in self.points]
        ids = self.ids
        for a, b in self.near:
            partners[a].append(ids[b])
            partners[b].append(ids[a])
        items = [self.data.source.items[int(row)] for row in self.seen.rows]
        columns: dict[str, list[Any]] = {
            "image": ids,
            "path": [str(i.image) if isinstance(i.image, str | Path) else None for i in items],
            "split": self.splits,
            "class": [classes[k] if k >= 0 else None for k in self.seen.labels.tolist()],
            "x": self.points[:, 0].tolist(), "y": self.points[:, 1].tolist(),
            "near_duplicates": partners,
        }  # fmt: skip
        if said is not None and self.seen.scores is not None:
            columns |= {
                "predicted": said, "score": self.seen.scores.tolist(),
                "mistake": self.mistakes.tolist(),
            }  # fmt: skip
        return columns

    def document(self) -> dict[str, Any]:
        """Return what was done and measured, as JSON can hold it."""
        return {
            "data": self.data.name, "features": self.seen.eye.name,
            "layer": self.seen.eye.what, "dimensions": self.seen.features.shape[1],
            "images": len(self.points), "method": self.method, "by": self.by,
            "trustworthiness": self.trust, "judged": self.judged,
            "variance": self.variance, "near_duplicates": len(self.near),
            "mistakes": int(self.mistakes.sum()) if self.seen.predicted else None,
            "seed": self.seed, "notes": self.notes,
        }  # fmt: skip


@contextlib.contextmanager
def _silent(_label: str) -> Any:
    yield lambda done, total: None


def embed(
    source: str, data: Dataset, *, method: Method = "tsne", split: str | None = None,
    images: int = IMAGES, seed: int = 0, stage: Stage = _silent,
) -> Embedding:  # fmt: skip
    """Project the pictures of a data set into the plane by their features.

    Parameters
    ----------
    source : str
        Whose features: a classifier's run, ``imagenet:NAME``, or ``pixels``; see `seen.opened`.
    data : Dataset
    method : {"tsne", "pca", "umap", "pacmap"}
    split : str, optional
        Default: all of them.
    images : int
        At most; of more a sample is drawn.
    seed : int
        Of the sample and of the layout.
    stage : callable, optional
        Given the name of a stage, opens a context that yields its callback (done, total).

    Raises
    ------
    DataError
        When there are too few images, or all have the same features.
    ParameterError
        When `images` is too small, or the source is a run of another task.
    MissingExtraError
        When the method's library is not installed.
    """
    if images < LEAST:
        raise ParameterError(f"images={images} must be at least {LEAST}")
    library(method)
    chosen, names, notes = _chosen(data, split, images, seed)
    with stage("computing features") as report:
        seen = see(source, chosen, progress=report)
    check(seen.features, data.name)
    with stage("reading thumbnails") as report:
        thumbnails, near = _looked_at(chosen.data, seen.rows, report)
    with stage(f"laying out by {NAMES[method]}") as report:
        points, by, variance = lay_out(seen.features, method, seed, report)
    trust, judged = trust_of(seen.features, points, seed)
    if seen.predicted and (unknown := sorted(set(data.classes) - set(seen.eye.classes))):
        some = ", ".join(unknown[:5]) + " ..." * (len(unknown) > 5)
        notes.append(f"{source} does not know {some}: pictures of it are no mistakes")
    split_of = [names[int(row)] for row in seen.rows]
    return Embedding(
        data, seen, points, method, by, trust, judged, variance, split_of, thumbnails, near, seed,
        [*notes, *seen.notes],
    )  # fmt: skip


NAMES = {"tsne": "t-SNE", "pca": "PCA", "umap": "UMAP", "pacmap": "PaCMAP"}

_EXTRAS = {"umap": ("umap", "umap"), "pacmap": ("pacmap", "pacmap")}
"""Method -> the module that computes it, and the extra that brings it."""


def library(method: str) -> Any:
    """Return the module that a method needs, or None where scikit-learn has it.

    Raises
    ------
    MissingExtraError
        When it is not installed.
    ParameterError
        When there is no such method.
    """
    if method not in get_args(Method):
        raise ParameterError(f"method={method} must be one of {', '.join(get_args(Method))}")
    if method == "tsne":
        with contextlib.suppress(ImportError):
            return importlib.import_module("openTSNE")
    if method not in _EXTRAS:
        return None
    module, extra = _EXTRAS[method]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(f"the method {method}", extra) from error


def check(features: NDArray[np.float32], name: str) -> None:
    """Refuse features that cannot be laid out.

    Raises
    ------
    DataError
        When there are fewer than three, or all are the same.
    """
    if len(features) < LEAST:
        raise DataError(f"{name} has {counted(len(features), 'image')}; a layout needs {LEAST}")
    if not (features != features[0]).any():
        raise DataError(f"all {len(features):,} images of {name} have the same features")


def lay_out(
    features: NDArray[np.float32], method: str, seed: int = 0, progress: Progress | None = None
) -> tuple[NDArray[np.float64], str, float | None]:
    """Bring rows of features into the plane.

    Parameters
    ----------
    features : float32 array, shape (N, D)
    method : {"tsne", "pca", "umap", "pacmap"}
    seed : int
    progress : callable, optional
        Called with (iterations, iterations in all), where the library tells.

    Returns
    -------
    points : float64 array, shape (N, 2)
    by : str
        The library.
    variance : float, or None
        The share of it that PCA keeps.
    """
    from sklearn.decomposition import PCA

    told: Progress = progress or (lambda done, total: None)
    n, d = features.shape
    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    pca = PCA(min(COMPONENTS, n, d), random_state=seed, svd_solver="auto").fit(centred)
    reduced = pca.transform(centred)
    if reduced.shape[1] < 2:
        reduced = np.pad(reduced, ((0, 0), (0, 2 - reduced.shape[1])))
    if method == "pca":
        return reduced[:, :2], "scikit-learn", float(pca.explained_variance_ratio_[:2].sum())
    start = 1e-4 * reduced[:, :2] / reduced[:, 0].std()
    compute, module = _WAYS[method], library(method)
    points, by = compute(module, reduced, start, seed, told)
    return np.asarray(points, np.float64), by, None


def _tsne(
    module: Any, rows: NDArray[np.float64], start: NDArray[np.float64], seed: int, told: Progress
) -> tuple[Any, str]:
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    if module is not None:
        total = 750  # of which 250 with exaggeration: its defaults

        class Tell:
            def __init__(self) -> None:
                self.done = 0

            def __call__(self, *_: Any) -> None:
                self.done += 50
                told(min(self.done, total), total)

        made = module.TSNE(
            perplexity=perplexity, initialization=start, random_state=seed, n_jobs=-1,
            callbacks=Tell(), callbacks_every_iters=50,
        )  # fmt: skip
        return made.fit(rows), "openTSNE"
    from sklearn.manifold import TSNE

    with contextlib.redirect_stdout(_Told(told, 1000)):
        return TSNE(
            perplexity=perplexity, init=start.astype(np.float32), random_state=seed, verbose=2
        ).fit_transform(rows.astype(np.float32)), "scikit-learn"


class _Told(io.StringIO):
    """Reads how far scikit-learn's t-SNE is from what it prints: it has no other way to tell."""

    def __init__(self, told: Progress, total: int) -> None:
        super().__init__()
        self._told, self._total = told, total

    def write(self, text: str) -> int:
        if match := re.search(r"Iteration (\d+):", text):
            self._told(int(match[1]), self._total)
        return len(text)


def _umap(
    module: Any, rows: NDArray[np.float64], start: NDArray[np.float64], seed: int, _: Progress
) -> tuple[Any, str]:
    near = min(15, len(rows) - 1)
    with _without_log("umap"):
        made = module.UMAP(
            n_neighbors=near, random_state=seed, n_jobs=1, init=10 * start / np.abs(start).max()
        ).fit_transform(rows.astype(np.float32))
    return made, "umap-learn"


def _pacmap(
    module: Any, rows: NDArray[np.float64], start: NDArray[np.float64], seed: int, _: Progress
) -> tuple[Any, str]:
    near = min(10, max(1, len(rows) // 3))
    with _without_log("pacmap"), contextlib.redirect_stdout(io.StringIO()):
        made = module.PaCMAP(n_neighbors=near, random_state=seed, apply_pca=False).fit_transform(
            rows.astype(np.float32), init=start.astype(np.float32)
        )
    return made, "pacmap"


@contextlib.contextmanager
def _without_log(name: str) -> Iterator[None]:
    """Hold back a library's warnings and notes: that its seed is set, for one."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


_WAYS: dict[str, Callable[..., tuple[Any, str]]] = {
    "tsne": _tsne, "umap": _umap, "pacmap": _pacmap
}  # fmt: skip


def trust_of(
    features: NDArray[np.float32], points: NDArray[np.float64], seed: int = 0
) -> tuple[float, int]:
    """Measure how well a layout keeps neighbours: trustworthiness, and on how many rows.

    Of many rows a seeded sample is compared, neighbours within it.
    """
    from sklearn.manifold import trustworthiness

    n = len(features)
    some = np.sort(np.random.default_rng(seed).permutation(n)[:JUDGED])
    near = min(NEIGHBOURS, max(1, (len(some) - 1) // 2))
    return float(trustworthiness(features[some], points[some], n_neighbors=near)), len(some)


def write_table(embedding: Embedding, target: Path) -> None:
    """Write the points as Parquet, for other viewers.

    Raises
    ------
    MissingExtraError
        When pyarrow is not installed.
    RunError
        When the file cannot be written.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("a Parquet file", "tables") from error
    names = pyarrow.list_(pyarrow.string())
    made = {
        name: pyarrow.array(values, names if name == "near_duplicates" else None)
        for name, values in embedding.table().items()
    }
    with run.replacing(target) as part:
        pyarrow.parquet.write_table(pyarrow.table(made), part)


def _chosen(
    data: Dataset, split: str | None, most: int, seed: int
) -> tuple[Split, dict[int, str], list[str]]:
    """Return the pictures to lay out as one split, the split of each row, and what was left out."""
    parts = data.splits if split is None else {split: data.split(split)}
    names = {int(row): name for name, part in parts.items() for row in part.rows}
    rows = np.array(sorted(names), np.int64)
    notes = []
    if len(rows) > most:
        notes = [f"{most:,} of {len(rows):,} images, drawn at random; images=... takes more"]
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:most])
    return Split(data, split or "all splits", rows), names, notes


def _looked_at(
    data: Dataset, rows: NDArray[np.int64], progress: Progress
) -> tuple[NDArray[np.uint8], list[tuple[int, int]]]:
    """Return thumbnails, whole pictures on grey, and the pairs of places that look alike."""
    side = thumbnail_side(len(rows), data.size)
    parts, prints = list[NDArray[np.uint8]](), list[Any]()
    for part in Split(data, "", rows).batches((side, side), "pad"):
        parts.append(part.X)
        prints += [duplicates.print_of(images.as_picture(x)) for x in part.X]
        progress(len(prints), len(rows))
    places = np.arange(len(prints), dtype=np.int64)
    digests, hashes, small = zip(*prints, strict=True)
    pairs = duplicates.find(
        duplicates.Prints(places, list(digests), np.array(hashes, np.uint64), np.stack(small))
    )
    return np.concatenate(parts), [(pair.first, pair.second) for pair in pairs]


def thumbnail_side(count: int, size: tuple[int, int] | None) -> int:
    """Return the pixels a side of so many thumbnails; small pictures keep theirs."""
    side = int(np.clip((ROOM / count) ** 0.5, *SIDES))
    return side if size is None else min(side, max(size))
