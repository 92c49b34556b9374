"""Find the regions of images by selective search: once, and kept by content."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import store
from sightline.data.dataset import Split
from sightline.data.transforms import Fitted
from sightline.errors import ParameterError, RunError
from sightline.estimators.detect_network import DetectionNetwork
from sightline.metrics import threads
from sightline.training import run
from sightline.types import Progress

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sightline.training.boxed_recipe import BoxedRecipe
    from sightline.training.sample_feed import Transform

VERSION = 1
"""Rises when selective search comes to propose other regions."""

NAME = "boxes"

Search = Callable[[NDArray[np.uint8], int], Sequence[NDArray[np.float32]]]


def searched(
    X: NDArray[np.uint8], most: int, progress: Progress | None = None
) -> list[NDArray[np.float32]]:
    """Propose regions in images by selective search.

    Parameters
    ----------
    X : uint8 array, shape (N, H, W, C)
    most : int
        Regions of an image at most.
    progress : callable, optional
        Called with (images done, images in all).

    Returns
    -------
    list of float32 array, shape (K, 4)
        xyxy in pixels, the most promising first.
    """
    from sightline.models.detect.proposals import selective_search

    return _of_each(X, lambda image: selective_search(image, most), progress)


def remembered(
    X: NDArray[np.uint8], most: int, progress: Progress | None = None
) -> list[NDArray[np.float32]]:
    """Propose regions as `searched` does; what was proposed once is read again.

    They are kept under ``SIGHTLINE_HOME/regions``, by what an image shows.
    """
    from sightline.models.detect.proposals import selective_search

    def of(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        place = _place(image, most)
        with contextlib.suppress(RunError, KeyError):  # missing, or damaged: then it is renewed
            return run.read_arrays(place)[NAME].astype(np.float32)
        boxes = selective_search(image, most)
        with contextlib.suppress(RunError, OSError):  # a read-only cache costs time, no answer
            place.parent.mkdir(parents=True, exist_ok=True)
            run.write_arrays(place, {NAME: boxes}, {})
        return boxes

    return _of_each(X, of, progress)


@contextlib.contextmanager
def remembering(method: Any) -> Iterator[None]:
    """Let a method that asks for regions remember those of the images that it learns from.

    Afterwards it searches, so that the time of an answer has the search in it.
    """
    if not hasattr(method, "search"):
        yield
        return
    before, method.search = method.search, remembered
    try:
        yield
    finally:
        method.search = before


def _of_each(
    X: NDArray[np.uint8], of: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    progress: Progress | None,
) -> list[NDArray[np.float32]]:  # fmt: skip
    boxes = [of(image) for image in X[:1]]  # alone: it compiles what all of them need
    with ThreadPoolExecutor(max(1, threads.in_use())) as pool:
        for one in pool.map(of, X[1:]):
            boxes.append(one)
            if progress:
                progress(len(boxes), len(X))
    return boxes


def _place(image: NDArray[np.uint8], most: int) -> Path:
    digest = hashlib.sha256(f"{VERSION}|{most}|{image.shape}".encode())
    digest.update(np.ascontiguousarray(image).data)
    key = digest.hexdigest()[:32]
    return store.home() / "regions" / key[:2] / f"{key}.safetensors"


class RegionNetwork(DetectionNetwork):
    """A network that classifies regions from outside, as a detector; see `DetectionNetwork`."""

    search: Search = staticmethod(searched)

    def changed(self, train: Split, fitted: Fitted, recipe: BoxedRecipe) -> Transform:
        """Return what changes a picture together with its boxes and regions."""
        import torch

        from sightline.training.boxes import Changed, WithRegions

        if recipe.augment == "mosaic":
            raise ParameterError(
                f"{self.card.name} takes regions that were proposed in whole pictures, which "
                "augment=mosaic puts together; choose augment=ssd or flip"
            )
        X, _, rows = train.arrays(fitted.size, fitted.resize)
        frames = train.frames(fitted.size, fitted.resize)
        shares = {}
        for row, frame, boxes in zip(rows.tolist(), frames, self._regions(X), strict=True):
            height, width = frame.size
            moved = frame.out(boxes) / np.array([width, height, width, height], np.float32)
            shares[row] = torch.from_numpy(moved.astype(np.float32))
        return WithRegions(Changed(fitted.size, recipe.augment, fitted.resize), shares)

    def asked(self, model: nn.Module, x: Tensor, X: NDArray[np.uint8]) -> Any:
        """Return a network's answers for images: `x`, standardised, and `X`, their bytes."""
        import torch

        regions = [torch.from_numpy(boxes).to(x.device) for boxes in self._regions(X)]
        return model(x, regions=regions)

    def _regions(self, X: NDArray[np.uint8]) -> Sequence[NDArray[np.float32]]:
        return self.search(X, int(self.card.arguments["regions"]))
