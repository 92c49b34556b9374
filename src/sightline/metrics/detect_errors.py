"""Tell what kinds of errors a detector makes, and what each kind costs.

The confusion matrix counts answers at one threshold of the score; TIDE (Bolya et al., TIDE: A
general toolbox for identifying object detection errors, ECCV 2020, section 2.2) gives every wrong
answer one cause, and says by how much average precision would rise if there were no such errors.
An answer that is not right at IoU 0.5 is

- of a wrong *localisation*, when its IoU with an object of its class is at least 0.1;
- of a wrong *classification*, when its IoU with an object of another class is at least 0.5;
- a *duplicate*, when its IoU with an object of its class is at least 0.5, which a better one has;
- *background*, when its IoU with every object is at most 0.1;
- wrong in *both* ways otherwise;

tried in this order, as in the paper's code. An object without a right answer, and with no answer of
the first two kinds either, is *missed*. Objects that do not count, as of a crowd, are nobody's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.metrics.detect_precision import HALF, Outcomes, coco_outcomes, coco_precision
from sightline.metrics.detect_table import Floats, Marks, Rows, Table

KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")
"""Of errors; all but the last are of answers."""

CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, BACKGROUND = range(5)

NONE = -1
"""Of an answer that is right, does not count or is not among an image's best hundred."""

UPPER, LOWER = 0.5, 0.1

LIMIT = 100


@dataclass(frozen=True, slots=True)
class Errors:
    """The errors of a detector, one by one.

    Parameters
    ----------
    kinds : int64 array, shape (D,)
        Position in `KINDS` of each answer's, or `NONE`.
    objects : int64 array, shape (D,)
        The object that a wrong answer is about, or -1.
    missed : bool array, shape (G,)
    costs : dict of str to float
        By how much AP50 would rise without the errors of a kind: wrong classes and boxes mended
        where the object has no better answer, all others left out, and missed objects not asked
        for. Kinds hide each other, so that the costs do not add up to what is missing to 1.
    """

    kinds: Rows
    objects: Rows
    missed: Marks
    costs: dict[str, float]

    @property
    def counts(self) -> dict[str, int]:
        """Return how many errors there are of each kind."""
        of_answers = np.bincount(self.kinds[self.kinds != NONE], minlength=5).tolist()
        return dict(zip(KINDS, [*of_answers, int(self.missed.sum())], strict=True))


def errors(table: Table) -> Errors:
    """Find the cause of each wrong answer, and what each cause costs.

    Parameters
    ----------
    table : Table
    """
    right, wrong = _outcomes(table)
    real = ~table.objects.passed_over
    kinds, objects = np.full(len(wrong), NONE), np.full(len(wrong), -1)
    for (d, g), shared in zip(table.parts(), table.overlaps, strict=True):
        rows = d.start + np.flatnonzero(wrong[d])
        if len(rows):
            same = table.answers.labels[rows][:, None] == table.objects.labels[g]
            kinds[rows], local = _causes(np.where(real[g], shared[rows - d.start], 0), same)
            objects[rows] = np.where(local < 0, -1, g.start + local)
    used = np.zeros(len(real), np.bool_)
    used[table.matched[0, HALF][right]] = True
    about = np.isin(kinds, (CLASSIFICATION, LOCALISATION)) & (objects >= 0)
    about[about] = ~used[objects[about]]
    blamed = np.zeros(len(real), np.bool_)
    blamed[objects[about]] = True
    missed = real & ~used & ~blamed
    mended = _best_of_each(table, np.flatnonzero(about), objects)
    return Errors(kinds, objects, missed, _costs(table, kinds, objects, missed, mended))


def _outcomes(table: Table) -> tuple[Marks, Marks]:
    """Return which answers are right and wrong at IoU 0.5, of an image's best hundred a class."""
    counted = table.counted[0, HALF] & (table.ranks < LIMIT)
    has = table.matched[0, HALF] >= 0
    return counted & has, counted & ~has


def _causes(shared: Floats, same: Marks) -> tuple[Rows, Rows]:
    """Return the kind of each wrong answer of an image, and the column of its object or -1."""
    if not shared.shape[1]:
        return np.full(len(shared), BACKGROUND), np.full(len(shared), -1)
    own, other = np.where(same, shared, 0), np.where(same, 0, shared)
    of_class, of_other = own.max(1), other.max(1)
    kinds = np.select(
        [
            (of_class >= LOWER) & (of_class < UPPER),
            of_other >= UPPER,
            of_class >= UPPER,
            np.maximum(of_class, of_other) <= LOWER,
        ],
        [LOCALISATION, CLASSIFICATION, DUPLICATE, BACKGROUND],
        BOTH,
    )
    columns = np.where(kinds == CLASSIFICATION, other.argmax(1), own.argmax(1))
    known = np.isin(kinds, (LOCALISATION, CLASSIFICATION, DUPLICATE))
    return kinds, np.where(known, columns, -1)


def _best_of_each(table: Table, rows: Rows, objects: Rows) -> Marks:
    """Return which of some wrong answers are the best about their object, shape (D,)."""
    order = rows[np.argsort(-table.answers.scores[rows], kind="stable")]
    best = np.zeros(len(objects), np.bool_)
    best[order[np.unique(objects[order], return_index=True)[1]]] = True
    return best


def _costs(
    table: Table, kinds: Rows, objects: Rows, missed: Marks, mended: Marks
) -> dict[str, float]:
    """Compute the rise of AP50 without each kind."""
    all_asked = np.zeros(len(missed), np.bool_)
    all_kept, unchanged = np.zeros(len(kinds), np.bool_), np.full(len(kinds), NONE)
    before = _ap50(table, all_kept, unchanged, all_asked)
    after = []
    for kind in range(BACKGROUND + 1):
        right_in, now = unchanged.copy(), mended & (kinds == kind)
        right_in[now] = table.objects.labels[objects[now]]
        after.append(_ap50(table, kinds == kind, right_in, all_asked))
    after.append(_ap50(table, all_kept, unchanged, missed))
    return {name: value - before for name, value in zip(KINDS, after, strict=True)}


def _ap50(table: Table, gone: Marks, right_in: Rows, unasked: Marks) -> float:
    """Compute AP50 without some wrong answers and without asking for some objects.

    An answer counts as right in the class that `right_in` has for it, if any. A class none of whose
    objects is asked for counts as 1, as nothing of it is left to be missed.
    """
    values = []
    for c in np.flatnonzero(table.numbers).tolist():
        whole = coco_outcomes(table, c, limit=LIMIT)
        kept, added = ~gone[whole.rows], np.flatnonzero(right_in == c)
        rows = np.concatenate([whole.rows[kept], added])
        right = np.concatenate([whole.right[HALF][kept], np.ones(len(added), np.bool_)])
        wrong = np.concatenate([whole.wrong[HALF][kept], np.zeros(len(added), np.bool_)])
        order = np.lexsort((rows, -table.answers.scores[rows]))
        n = whole.objects - int((unasked & (table.objects.labels == c)).sum())
        changed = Outcomes(right[None, order], wrong[None, order], rows[order], n)
        values.append(float(coco_precision(changed)[0]) if n else 1.0)
    return float(np.mean(values)) if values else 0.0


def confusion(table: Table, thresholds: Floats | float) -> NDArray[np.int64]:
    """Count objects by class and what they were taken for, at IoU 0.5.

    Right answers are those of precision and recall, so that a column has the class's precision and
    a row its recall. What is left is matched across classes, the best answers first; an object
    without any is taken for background, and an answer without any is background taken for a class.

    Parameters
    ----------
    table : Table
    thresholds : float, or float64 array, shape (C,)
        Of the score, that an answer reaches at least.

    Returns
    -------
    int64 array, shape (C + 1, C + 1)
        True class (row) by answer (column); the last is the background, which is never both.
    """
    of_class = np.broadcast_to(np.asarray(thresholds, np.float64), (table.classes,))
    scores, labels = table.answers.scores, table.answers.labels
    given = (scores >= of_class[labels]) & table.counted[0, HALF]
    rows = table.matched[0, HALF]
    right, left = given & (rows >= 0), given & (rows < 0)
    free = ~table.objects.passed_over
    free[rows[right]] = False
    counts = np.zeros((table.classes + 1, table.classes + 1), np.int64)
    np.add.at(counts, (labels[right], labels[right]), 1)
    for (d, g), shared in zip(table.parts(), table.overlaps, strict=True):
        wrong = d.start + np.flatnonzero(left[d])
        for row in wrong[np.argsort(-scores[wrong], kind="stable")]:
            near = np.where(free[g], shared[row - d.start], 0)
            best = int(near.argmax()) if len(near) else -1
            if best >= 0 and near[best] >= UPPER:
                free[g.start + best] = False
                counts[table.objects.labels[g.start + best], labels[row]] += 1
            else:
                counts[-1, labels[row]] += 1
    counts[:-1, -1] = np.bincount(table.objects.labels[free], minlength=table.classes)
    return counts
