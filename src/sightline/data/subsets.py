"""Take ever larger parts of a split: each holds the smaller ones, with every class in proportion.

All images get one seeded order; a subset is the start of it. So subsets of one seed are nested, and
those of another seed are other draws of the same sizes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.data.dataset import Dataset
from sightline.data.splits import Groups, Rows

LEAST = 2
"""Images of a class that the smallest subset has, where the class has as many."""


def nested(
    labels: NDArray[np.int64], sizes: Sequence[int], seed: int, groups: Groups | None = None
) -> list[Rows]:
    """Return a subset of each size, as sorted indices.

    Parameters
    ----------
    labels : int64 array, shape (N,)
        Classes to keep in proportion (all -1 for none). Of a class that its proportion would leave
        with less, the smallest subset has `LEAST` images.
    sizes : sequence of int
        Where groups are kept together, or the sizes are too small for every class, a subset has as
        many images as come nearest.
    seed : int
    groups : sequence of str or None, length N, optional
        Images of one group are in a subset together or not at all; None is a group of its own.
    """
    units, order, first = _ordered(labels, seed, groups)
    ends = np.cumsum(np.bincount(units)[order])
    subsets = []
    for size in sizes:
        count = int(np.searchsorted(ends, size))
        if count == len(ends) or (count and size - ends[count - 1] < ends[count] - size):
            count -= 1
        taken = np.zeros(len(order), np.bool_)
        taken[order[: max(count + 1, first)]] = True
        subsets.append(np.flatnonzero(taken[units]))
    return subsets


def cut(data: Dataset, images: int, seed: int) -> Dataset:
    """Return data with fewer images to learn from, and as many fewer to tune on; test is whole.

    Parameters
    ----------
    data : Dataset
        With the splits ``train`` and ``val``.
    images : int
        For training. Validation keeps the same share, but at least `LEAST` images of a class.
    seed : int
        Of the draw.

    Raises
    ------
    DataError
        When a split is missing.
    """
    rows = dict(data.rows)
    for split in (data.train, data.val):
        wanted = round(images * len(split) / len(data.train))
        (kept,) = nested(split.labels, [wanted], seed, split.groups)
        rows[split.name] = split.rows[kept]
    return data.with_rows(rows)


def _ordered(labels: NDArray[np.int64], seed: int, groups: Groups | None) -> tuple[Rows, Rows, int]:
    """Return the unit of each image, the order of the units, and how many of them come first.

    A unit is a group or an image without one. Those of a class lie evenly along [0, 1), in a random
    order; the first ones give every class its least images.
    """
    rng = np.random.default_rng(seed)
    units = np.arange(len(labels))
    if groups is not None:
        names = [f"\0{i}" if g is None else str(g) for i, g in enumerate(groups)]
        units = np.unique(np.array(names, object).astype(str), return_inverse=True)[1]
    _, strata = np.unique(labels, return_inverse=True)
    count = int(units.max()) + 1
    pairs, images = np.unique(strata * count + units, return_counts=True)
    strata_of, units_of = np.divmod(pairs, count)
    totals = np.bincount(strata)
    # A unit counts for the class of which it has the largest part: the last that is written.
    by_part = np.lexsort((images / totals[strata_of], units_of))
    main = np.empty(count, np.int64)
    main[units_of[by_part]] = strata_of[by_part]
    rank = rng.permutation(count)
    turn = np.lexsort((rank, main))
    sizes = np.bincount(units)[turn]
    ends = np.cumsum(sizes)
    starts = np.unique(main[turn], return_index=True)[1]
    before = np.repeat((ends - sizes)[starts], np.diff([*starts, count]))
    place = np.empty(count)
    place[turn] = (ends - before - sizes / 2) / np.bincount(main, np.bincount(units))[main[turn]]
    head = np.zeros(count, np.bool_)
    edges = np.searchsorted(strata_of, np.arange(len(totals) + 1))
    for stratum in np.argsort(totals, kind="stable"):  # the rarest class finds its groups first
        part = slice(edges[stratum], edges[stratum + 1])
        holders, held = units_of[part], images[part]
        have = int(held[head[holders]].sum())
        for i in np.argsort(rank[holders]):
            if have >= LEAST:
                break
            if not head[holders[i]]:
                head[holders[i]] = True
                have += int(held[i])
    return units, np.lexsort((rank, place, ~head)), int(head.sum())
