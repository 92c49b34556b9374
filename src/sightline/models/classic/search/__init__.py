"""Search the nearest training rows fast: exactly, or approximately by FAISS.

k-NN itself (`sightline.models.classic.knn`) uses `search_in` and `as_rows` of this package. They
use `exact` (chunks, bounded memory), its sieves for bytes and floats with their compiled kernels,
and `ann` (FAISS).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.errors import DataError
from sightline.models.device import present
from sightline.models.method import CPU

if TYPE_CHECKING:
    from sightline.models.classic.search.ann import FaissSearch
    from sightline.models.classic.search.exact import ExactSearch
    from sightline.models.classic.search.sieve import Metric

Index = Literal["exact", "faiss-flat", "faiss-hnsw", "faiss-ivf"]

_LARGEST = 1e150  # the square of a larger value leaves float64


def search_in(
    X: NDArray[Any], metric: Metric, index: Index, device: str, chunk_mb: int
) -> ExactSearch | FaissSearch:
    """Return a search for the nearest rows of X, to be called with (queries, k, progress).

    Parameters
    ----------
    X : uint8, float32 or float64 array, shape (n, d)
        From `as_rows`.
    metric, index, device, chunk_mb
        See `sightline.models.classic.knn.KNNClassifier`.

    Raises
    ------
    ParameterError, MissingExtraError
        When the device or FAISS is not there, or the index has no such metric.
    """
    from sightline.models.classic.search.ann import FaissSearch
    from sightline.models.classic.search.exact import ExactSearch

    exact = ExactSearch(X, metric, present(device), chunk_mb)
    if index == "exact":
        return exact
    return FaissSearch(X, metric, index.removeprefix("faiss-"), exact)


def as_rows(X: ArrayLike, what: str) -> NDArray[Any]:
    """Return images as rows of uint8, float32 or float64, shape (n, d), contiguous and finite.

    Raises
    ------
    DataError
        When they are no numbers, or a value is not finite; `what` says which images.
    """
    array = np.asarray(X)
    if array.ndim < 1 or array.dtype.kind not in "biuf":
        raise DataError(
            f"the {what} images must be a numeric array of shape (n, ...), not {array.dtype} of "
            f"shape {array.shape}"
        )
    if array.dtype.kind == "b":
        array = array.view(np.uint8)
    elif array.dtype != np.uint8:
        array = array.astype(np.result_type(array.dtype, np.float32), copy=False)
        if array.dtype.itemsize > 8:
            array = array.astype(np.float64)
    from sightline.models.classic.search.sieve import peak

    rows = np.ascontiguousarray(array.reshape(len(array), -1 if array.size else 0))
    if rows.dtype != np.uint8 and not peak(rows) <= _LARGEST:
        bad = next(i for i, row in enumerate(rows) if not np.abs(row).max() <= _LARGEST)
        raise DataError(
            f"row {bad} of the {what} images has a value that is NaN, infinite or beyond "
            f"{_LARGEST:g}"
        )
    return rows


def check_index(index: Index, metric: Metric) -> None:
    """Refuse an index that is not installed, or that has no such metric.

    Raises
    ------
    MissingExtraError, ParameterError
    """
    if index != "exact":
        from sightline.models.classic.search import ann

        ann.check_index(index.removeprefix("faiss-"), metric)


def used_of(device: str) -> Mapping[str, Any]:
    """Return what the exact search of a device computes on; see `sightline.models.method`.

    Raises
    ------
    ParameterError
        When the device is not there.
    """
    there = present(device)
    if not there.startswith("cuda"):
        return {**CPU, "device": there}
    import torch

    return {"device": torch.cuda.get_device_name(there), "devices": 1, "precision": None}
