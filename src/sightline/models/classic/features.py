"""Check the features and labels of the linear methods: finite rows and whole-number labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.errors import DataError

CHUNK = 4096
"""Rows that are converted to another type at once."""

_LARGEST = 1e150  # the square of a larger value leaves float64


def rows(X: ArrayLike, width: int | None = None) -> NDArray[Any]:
    """Return images as rows: shape (n, d), uint8, float32 or float64, not copied if possible.

    Parameters
    ----------
    X : numeric array, shape (n, ...)
    width : int, optional
        The d that a fitted method expects.

    Raises
    ------
    DataError
        When it is empty, is no numeric array, has another width, or holds a value that is
        NaN, infinite or beyond 1e150; the column is named.
    """
    array = np.asarray(X)
    if array.ndim < 2 or array.dtype.kind not in "biuf":
        raise DataError(
            f"features must be a numeric array of shape (n, ...), not {array.dtype} of shape "
            f"{array.shape}"
        )
    if not array.size and (width is None or len(array)):
        raise DataError(f"there are no features: the array's shape is {array.shape}")
    if array.dtype.kind == "b":
        array = array.view(np.uint8)
    elif array.dtype != np.uint8:
        wide = array.dtype.kind != "f" or array.dtype.itemsize > 4
        array = array.astype(np.float64 if wide else np.float32, copy=False)
    flat = array.reshape(len(array), -1 if len(array) else width or 0)
    if width is not None and flat.shape[1] != width:
        raise DataError(
            f"the method was fitted on {width} values an image, but asked about {flat.shape[1]}"
        )
    if flat.dtype != np.uint8:
        _check_finite(flat)
    return flat


def labels(y: ArrayLike, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the classes that occur, shape (C,), rising, and each row's class index, (n,).

    Raises
    ------
    DataError
        When labels are not whole numbers, are not one a row, or are all the same.
    """
    given = np.asarray(y)
    if given.shape != (n,):
        raise DataError(f"{n} images need labels of shape ({n},), not {given.shape}")
    if given.dtype.kind not in "iub":
        raise DataError(f"labels must be integers, not {given.dtype}")
    classes, places = np.unique(given.astype(np.int64), return_inverse=True)
    if len(classes) == 1:
        raise DataError(f"every label is {classes[0]}; telling classes apart needs two")
    return classes, places.astype(np.int64)


def targets(y: ArrayLike, n: int) -> NDArray[np.float64]:
    """Return regression targets as finite float64, shape (n,) or (n, k).

    Raises
    ------
    DataError
        When they are not one a row, or not finite; the row is named.
    """
    given = np.asarray(y)
    if given.dtype.kind not in "biuf" or given.ndim not in (1, 2) or len(given) != n:
        raise DataError(
            f"{n} rows need numeric targets of shape ({n},) or ({n}, k), not {given.dtype} of "
            f"shape {given.shape}"
        )
    values = given.astype(np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(np.argwhere(bad)[0][0])
        raise DataError(f"row {row} of the targets is {values[row]}; targets must be finite")
    return values


def centre(X: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the mean of each column, shape (d,), and whether the column is constant, shape (d,).

    The mean of a column that never changes is its value to the last bit, so that such a
    column less its mean is exactly 0 and no rounding passes for signal.
    """
    total = np.zeros(X.shape[1])
    for start in range(0, len(X), CHUNK):  # bounds the float64 copy
        total += X[start : start + CHUNK].sum(0, dtype=np.float64)
    constant = X.min(0) == X.max(0)
    return np.where(constant, X[0], total / len(X)), constant


def check_some_vary(constant: NDArray[np.bool_], X: NDArray[Any]) -> None:
    """Refuse features of which none changes from row to row."""
    if constant.all():
        raise DataError(
            f"all {X.shape[1]} columns are constant (column 0 is {X[0, 0]} in every row): there is "
            "nothing to learn from"
        )


def _check_finite(X: NDArray[Any]) -> None:
    for start in range(0, len(X), CHUNK):
        part = X[start : start + CHUNK]
        if not (float(part.max()) <= _LARGEST and float(part.min()) >= -_LARGEST):  # NaN is neither
            row, column = np.argwhere(~(np.abs(part.astype(np.float64)) <= _LARGEST))[0]
            raise DataError(
                f"column {column} is {part[row, column]} in row {start + row}; features must be "
                f"finite (and within {_LARGEST:g})"
            )
