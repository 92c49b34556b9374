r"""Count matched, missed, merged and split objects picture by picture, as those who count cells do.

All of it is read from detection's table of matches, with the answers that reach their class's
threshold of the score. A matched answer is right (TP), any other one wrong (FP), an object without
one is missed (FN); crowds and difficult objects, and answers that are theirs, count neither way.

- *Match score* at an IoU: :math:`TP / (TP + FP + FN)`, the mean over pictures. The papers on
  nuclei call it average precision; it has nothing to do with COCO's, which has that name here.
- *Aggregated Jaccard index*: each object with the answer of the largest IoU; the pixels that they
  have in common over those that they cover together, with the pixels of the answers that no object
  took. Mean over pictures.
- *Panoptic quality*: the mean IoU of the matches above 0.5 (SQ) times the share
  :math:`TP / (TP + FP / 2 + FN / 2)` (RQ), by class over all pictures, then the mean over classes.
- An answer is *merged* when more than half of each of two or more objects of its class lies in it;
  an object is *split* when more than half of each of two or more answers of its class lies in it.

Where true objects do not overlap, an answer reaches an IoU above 0.5 with one of them at most, so
that the matching does not depend on the order of the scores.

Sources: C. Stringer et al., Cellpose, Nature Methods 18, 2021, and J. C. Caicedo et al., Nucleus
segmentation across imaging experiments: the 2018 Data Science Bowl, Nature Methods 16, 2019 (match
score); N. Kumar et al., A dataset and a technique for generalized nuclear segmentation for
computational pathology, IEEE TMI 36, 2017 (aggregated Jaccard index); A. Kirillov et al., Panoptic
segmentation, CVPR 2019; P. Matula et al., Cell tracking accuracy measurement based on comparison of
acyclic oriented graphs, PLoS ONE 10, 2015 (more than half of an object lies in another).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sightline.metrics import bootstrap
from sightline.metrics.detect_precision import HALF
from sightline.metrics.detect_table import THRESHOLDS, Floats, Marks, Rows
from sightline.metrics.instances_table import MaskTable

LEVELS: Floats = THRESHOLDS[:9]
"""IoU from which on an answer may be right: 0.5 to 0.9."""

MATCHES = {f"match{round(100 * level)}": k for k, level in enumerate(LEVELS) if k % 2 == 0}
"""Names of the match score at 0.5, 0.6, ..., 0.9, and where each stands in `LEVELS`."""

_MOST = 0.5  # of an object or answer, above which it lies in another


@dataclass(frozen=True, slots=True)
class Pictures:
    """What was counted on each picture.

    Parameters
    ----------
    right, wrong, missed : int64 array, shape (N, 9)
        At each of `LEVELS`.
    aji : float64 array, shape (N,)
        nan where there is neither object nor answer.
    overlap : float64 array, shape (N, C)
        Sum of the IoU of the matches above 0.5.
    matched, false, lost : int64 array, shape (N, C)
        Of panoptic quality: matches, answers and objects without one.
    true, answered : int64 array, shape (N, C)
        How many there are.
    merged : bool array, shape (D,)
        Answers that hold two objects or more.
    split : bool array, shape (G,)
        Objects that hold two answers or more.
    """

    right: Rows
    wrong: Rows
    missed: Rows
    aji: Floats
    overlap: Floats
    matched: Rows
    false: Rows
    lost: Rows
    true: Rows
    answered: Rows
    merged: Marks
    split: Marks

    @property
    def match(self) -> Floats:
        """Return the match score of each picture at each of `LEVELS`, shape (N, 9)."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.right / (self.right + self.wrong + self.missed))

    @property
    def off(self) -> Rows:
        """Return by how many each picture's count is off, above 0 where too many: shape (N,)."""
        return np.asarray((self.answered - self.true).sum(1))

    def figures(self, counts: Rows) -> dict[str, Floats]:
        """Compute figures over pictures drawn with repeats.

        Parameters
        ----------
        counts : int64 array, shape (draws, N)
            How often each picture is drawn.

        Returns
        -------
        dict of str to float64 array, shape (draws,)
            ``match50`` to ``match90``, ``match`` (the mean over 0.5, 0.55, ..., 0.9), ``aji``,
            ``pq``, ``sq``, ``rq``, ``count_error`` (by how many the number of objects of a picture
            is off, in the mean) and ``count_bias`` (the same with its sign: above 0 where too many
            are answered). nan where undefined.
        """
        match = self.match
        pq, sq, rq = (bootstrap.mean(part) for part in self.panoptic(counts))
        drawn = counts.sum(1)
        return {
            **{name: bootstrap.mean(match[:, k], counts=counts) for name, k in MATCHES.items()},
            "match": bootstrap.mean(match.mean(1), counts=counts),
            "aji": bootstrap.mean(self.aji, counts=counts), "pq": pq, "sq": sq, "rq": rq,
            "count_error": counts @ np.abs(self.off) / drawn,
            "count_bias": counts @ self.off / drawn,
        }  # fmt: skip

    def panoptic(self, counts: Rows) -> tuple[Floats, Floats, Floats]:
        """Compute PQ, SQ and RQ of each class on pictures drawn with repeats, shape (draws, C).

        nan where a class has neither object nor answer; SQ is 0 where it has no match.
        """
        overlap, hits = counts @ self.overlap, counts @ self.matched
        whole = hits + (counts @ self.false + counts @ self.lost) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            quality = np.where(whole > 0, overlap / np.maximum(hits, 1), np.nan)
            return overlap / whole, quality, hits / whole


def pictures(table: MaskTable, thresholds: Floats | float = 0.0) -> Pictures:
    """Count matched, missed, merged and split objects on each picture.

    Parameters
    ----------
    table : MaskTable
    thresholds : float, or float64 array, shape (C,)
        Of the score, that an answer reaches at least.
    """
    of_class = np.broadcast_to(np.asarray(thresholds, np.float64), (table.classes,))
    given = table.answers.scores >= of_class[table.answers.labels]
    asked = ~table.objects.passed_over
    counting = given & table.counted[0, HALF]  # what lies half in a crowd is the crowd's
    counted = counting & table.counted[0, : len(LEVELS)]
    has = table.matched[0, : len(LEVELS)] >= 0
    right = counted & has
    hits, misses = (_by_image(marks, table) for marks in (right, counted & ~has))
    there = np.bincount(table.objects.images[asked], minlength=table.images)
    n, classes = table.images, table.classes
    objects = _by_class(table.objects.images, table.objects.labels, asked, n, classes)
    answers = _by_class(table.answers.images, table.answers.labels, counting, n, classes)
    aji, overlap = np.full(n, np.nan), np.zeros((n, classes))
    merged, split = np.zeros(len(given), np.bool_), np.zeros(len(asked), np.bool_)
    strict = np.zeros(len(given), np.bool_)
    for i, (d, g) in enumerate(table.parts()):
        mine, theirs = d.start + np.flatnonzero(counting[d]), g.start + np.flatnonzero(asked[g])
        local = np.ix_(mine - d.start, theirs - g.start)
        same = table.answers.labels[mine][:, None] == table.objects.labels[theirs]
        shared = np.where(same, table.shared[i][local], 0)
        own, true = table.answers.sizes[mine], table.pixels[theirs]
        aji[i] = aggregated_jaccard(shared, own, true)
        merged[mine] = (shared > _MOST * true).sum(1) > 1
        split[theirs] = (shared > _MOST * own[:, None]).sum(0) > 1
        taken = mine[right[HALF, mine]]
        values = table.overlaps[i][taken - d.start, table.matched[0, HALF, taken] - g.start]
        strict[taken] = values > _MOST
        np.add.at(overlap[i], table.answers.labels[taken[values > _MOST]], values[values > _MOST])
    matched = _by_class(table.answers.images, table.answers.labels, strict, n, classes)
    return Pictures(
        hits, misses, there[:, None] - hits, aji, overlap, matched, answers - matched,
        objects - matched, objects, answers, merged, split,
    )  # fmt: skip


def aggregated_jaccard(shared: Rows, answers: Floats, objects: Floats) -> float:
    """Compute the aggregated Jaccard index of a picture; nan without object and answer.

    Parameters
    ----------
    shared : int array, shape (D, G)
        Pixels that each answer and object have in common.
    answers, objects : float64 array, shape (D,) and (G,)
        Pixels of each.

    Examples
    --------
    >>> aggregated_jaccard(np.array([[6], [0]]), np.array([8.0, 5.0]), np.array([10.0]))
    0.35294117647058826
    """
    if not len(answers) and not len(objects):
        return float("nan")
    used = np.zeros(len(answers), np.bool_)
    common, together = 0.0, float(objects.sum())
    if len(answers) and len(objects):
        ratios = shared / np.maximum(answers[:, None] + objects - shared, 1)
        best, columns = ratios.argmax(0), np.arange(len(objects))
        touched = shared[best, columns] > 0
        best, columns = best[touched], columns[touched]
        used[best] = True
        common = float(shared[best, columns].sum())
        together += float(answers[best].sum()) - common
    together += float(answers[~used].sum())
    return common / together if together else float("nan")


def _by_image(marks: Marks, table: MaskTable) -> Rows:
    """Count the answers of each picture at each level, shape (N, 9)."""
    counts = [np.bincount(table.answers.images[level], minlength=table.images) for level in marks]
    return np.stack(counts, 1).astype(np.int64)


def _by_class(images: Rows, labels: Rows, kept: Marks, n: int, classes: int) -> Rows:
    """Count by picture and class, shape (N, C)."""
    counts = np.bincount(images[kept] * classes + labels[kept], minlength=n * classes)
    return counts.reshape(n, classes).astype(np.int64)
