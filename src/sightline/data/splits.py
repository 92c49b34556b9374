"""Split into train, validation and test: stratified, seeded, and never parting a group.

Every image gets a place by a seeded shuffle of its class (or of its group), so that no
image is in two splits and the same seed gives the same splits everywhere.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.data import text
from sightline.errors import DataError, ParameterError

Rows = NDArray[np.int64]
Groups = Sequence[str | None] | NDArray[np.object_]


def make(
    rows: Rows,
    labels: NDArray[np.int64],
    shares: dict[str, float],
    seed: int,
    groups: Groups | None = None,
) -> dict[str, Rows]:
    """Split rows into parts by shares.

    Parameters
    ----------
    rows : int64 array, shape (N,)
    labels : int64 array, shape (N,)
        Classes to keep in proportion (all -1 for none).
    shares : dict of str to float
        Share of each split; they add up to one. The first takes what rounding leaves.
    seed : int
    groups : sequence of str or None, length N, optional
        Rows of one group stay together; None is a group of its own.

    Returns
    -------
    dict of str to int64 array
        Sorted rows.

    Raises
    ------
    ParameterError
        When shares are not positive or do not add up to one.
    DataError
        When a split would be empty.
    """
    if any(s <= 0 for s in shares.values()) or abs(sum(shares.values()) - 1) > 1e-9:
        raise ParameterError(f"shares of splits must be positive and add up to 1, not {shares}")
    rng, sizes = np.random.default_rng(seed), list(shares.values())
    if groups is not None:
        which = _place_groups(labels, sizes, rng, groups)
    else:
        which = _place_strata(labels, sizes, rng)
    parts = {name: np.sort(rows[which == i]) for i, name in enumerate(shares)}
    for name, part in parts.items():
        if not len(part):
            what = "groups" if groups is not None else "images"
            raise DataError(f"too few {what} ({len(rows)} images) for a split {name!r}")
    return parts


def folds(
    rows: Rows,
    labels: NDArray[np.int64],
    k: int,
    seed: int,
    groups: Groups | None = None,
) -> list[tuple[Rows, Rows]]:
    """Return k pairs (training rows, held-out rows); each row is held out once.

    Raises
    ------
    ParameterError
        When k is under 2 or over the number of rows.
    DataError
        When there are fewer groups than folds.
    """
    if not 2 <= k <= len(rows):
        raise ParameterError(f"folds must be between 2 and the {len(rows)} images, not {k}")
    rng = np.random.default_rng(seed)
    if groups is not None:
        which = _place_groups(labels, [1 / k] * k, rng, groups)
        if len(np.unique(which)) < k:
            raise DataError(f"too few groups ({len(rows)} images) for {k} folds")
    else:
        # Dealt like cards, class by class: folds differ by at most one image of a class,
        # and by at most one image in all.
        which = np.empty(len(rows), np.int64)
        which[np.lexsort((rng.random(len(rows)), labels))] = np.arange(len(rows)) % k
    return [(np.sort(rows[which != i]), np.sort(rows[which == i])) for i in range(k)]


def group_of(ids: Sequence[str], rule: str) -> list[str | None]:
    """Find the group of each image.

    Parameters
    ----------
    ids : sequence of str
        Relative paths.
    rule : str
        ``"folder"`` (the folder that the file lies in), a CSV file with a header
        (``FILE.csv:COLUMN``; its first column holds the file names), or a regular
        expression, whose first group (else whole match) is the group's name.

    Raises
    ------
    ParameterError
        When the rule is neither, or no image has a group by it.
    """
    if rule == "folder":
        folders = [i.rsplit("/", 1)[0] if "/" in i else None for i in ids]
        if not any(folders):
            raise ParameterError(f"group=folder: no image lies in a folder, e.g. {ids[0]!r}")
        return folders
    table, _, column = rule.rpartition(":")
    if table.lower().endswith(".csv"):
        return _groups_of_csv(ids, Path(table), column)
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise ParameterError(
            f"group={rule!r} is neither 'folder', FILE.csv:COLUMN nor a regular "
            f"expression ({error})"
        ) from None
    matches = [pattern.search(i) for i in ids]
    if not any(matches):
        raise ParameterError(f"group={rule!r} matches no image, e.g. not {ids[0]!r}")
    return [None if m is None else m.group(1 if pattern.groups else 0) for m in matches]


def _groups_of_csv(ids: Sequence[str], table: Path, column: str) -> list[str | None]:
    try:
        reader = csv.DictReader(io.StringIO(text.read(table), newline=""))
        names = reader.fieldnames or []
        if column not in names:
            raise ParameterError(f"{table} has no column {column!r}; it has {', '.join(names)}")
        by_name = {row[names[0]]: row[column] for row in reader}
    except DataError as error:
        raise ParameterError(f"cannot read {error}") from None
    except csv.Error as error:
        raise ParameterError(f"{table} is no CSV ({error})") from None
    groups = [by_name.get(i) or by_name.get(i.rsplit("/", 1)[-1]) for i in ids]
    if not any(groups):
        raise ParameterError(f"{table}: its first column names none of the images ({ids[0]!r})")
    return groups


def _place_strata(
    labels: NDArray[np.int64], shares: Sequence[float], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Assign rows to splits, class by class; return the number of each row's split.

    Places of a class lie evenly along [0, 1), from a random start; a place falls into
    the split whose share covers it. Each split then differs from its exact share of the
    class by less than one image; the first place always falls into the first split, so
    that even a class of one image is trained on.
    """
    edges = np.cumsum(shares)[:-1]
    which = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        n = len(members)
        places = (np.arange(n) + rng.random() * min(1.0, n * shares[0])) / n
        which[members] = np.searchsorted(edges, places, side="right")
    return which


def _place_groups(
    labels: NDArray[np.int64],
    shares: Sequence[float],
    rng: np.random.Generator,
    groups: Groups,
) -> NDArray[np.int64]:
    """Assign rows to splits, group by group; return the number of each row's split.

    Groups go, largest first, each to the split that then lacks most images of the group's
    classes; the last ones to splits that would else stay empty.
    """
    names = [f"\0{i}" if g is None else str(g) for i, g in enumerate(groups)]
    _, ids = np.unique(np.array(names, object).astype(str), return_inverse=True)
    _, strata = np.unique(labels, return_inverse=True)
    n_groups, n_strata = int(ids.max()) + 1, int(strata.max()) + 1
    table = np.zeros((n_groups, n_strata))
    np.add.at(table, (ids, strata), 1)
    want = np.outer(shares, table.sum(axis=0))
    have = np.zeros_like(want)
    place = np.empty(n_groups, np.int64)
    order = rng.permutation(n_groups)
    weight = table.sum(axis=0)
    order = order[np.argsort(-table.sum(axis=1)[order], kind="stable")]
    for placed, g in enumerate(order):
        lack = (want - have) / weight
        need = lack @ (table[g] / weight) + 1e-3 * lack.mean(axis=1)
        empty = have.sum(axis=1) == 0
        if empty.sum() >= n_groups - placed:
            need[~empty] = -np.inf
        place[g] = int(np.argmax(need))
        have[place[g]] += table[g]
    return place[ids]
