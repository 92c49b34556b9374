"""Freeze a trained network: its features of images serve k-NN and linear models.

With few photographs this is the strongest cheap method: the network has learned what matters in
images from many others (Donahue et al., DeCAF, 2014), and only the last step is learned anew.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline import tasks
from sightline.data import store, transforms
from sightline.data.dataset import Split
from sightline.data.transforms import Fitted, Preprocess
from sightline.errors import ParameterError, RunError, missing
from sightline.estimators.network import NetworkMethod
from sightline.models import registry
from sightline.training import run

_BATCH = 128
PREFIX = "features."


class Backbone:
    """A trained network without its last layer: maps bytes of images to rows of features.

    Parameters
    ----------
    network : NetworkMethod
        Fitted, or with published weights.
    """

    def __init__(self, network: NetworkMethod) -> None:
        self.network = network

    @classmethod
    def named(cls, spec: str) -> Backbone:
        """Return the network of a run's folder, of ``imagenet:NAME`` or of ``timm:NAME``.

        Raises
        ------
        ParameterError
            When the run is no network's, or it is none of the three.
        RunError, UnknownNameError, WeightsError, MissingExtraError
            When it cannot be read or fetched.
        """
        source, _, name = spec.partition(":")
        if source in ("imagenet", "timm", "torchvision") and name:
            card = registry.card(name if source == "imagenet" else spec)
            if card.kind != "module":
                raise ParameterError(f"{name} is no network, so it has no features")
            return cls(_kind(card.name).with_published(card))
        if not Path(spec).is_dir():
            raise ParameterError(
                f"features={missing(spec, 'no such run')}; give a run's folder, imagenet:NAME or "
                "timm:NAME"
            )
        config = run.read_config(Path(spec))
        model = config["model"]
        if registry.card(model).kind != "module":
            raise ParameterError(f"{spec} is no network's run, so it has no features")
        arrays = run.read_arrays(Path(spec) / run.MODEL)
        network = _kind(model)(registry.card(model), config.get("options", {}))
        network.restore(arrays)
        return cls(network)

    @property
    def side(self) -> int:
        """Return the pixels a side that the network was made for."""
        return int(self.network.side_.max())

    def __call__(self, X: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return features of images, shape (N, H, W, C): shape (N, D), rows of length sqrt(D).

        Of more than a batch they are kept under ``SIGHTLINE_HOME/features``, by what the images
        and the weights are.
        """
        if len(X) <= _BATCH:
            return self._computed(X)
        place = store.home() / "features" / f"{self._key(X)}.safetensors"
        with contextlib.suppress(RunError, KeyError):  # missing, or damaged: then it is renewed
            return np.asarray(run.read_arrays(place)["features"], np.float32)
        seen = self._computed(X)
        with contextlib.suppress(RunError, OSError):  # a read-only cache costs time, no answer
            place.parent.mkdir(parents=True, exist_ok=True)
            run.write_arrays(place, {"features": seen}, {})
        return seen

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a run saves, so that it needs nothing else."""
        return {f"{PREFIX}{name}": array for name, array in self.network.arrays().items()}

    @classmethod
    def restored(cls, model: str, arrays: Mapping[str, NDArray[Any]]) -> Backbone:
        """Make a backbone of a registry's model from what `arrays` returned."""
        network = _kind(model)(registry.card(model), {})
        network.restore(
            {n.removeprefix(PREFIX): a for n, a in arrays.items() if n.startswith(PREFIX)}
        )
        return cls(network)

    def _computed(self, X: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = [self.network.features(X[i : i + _BATCH]) for i in range(0, len(X), _BATCH)]
        seen = np.concatenate(parts)
        length = np.linalg.norm(seen, axis=1, keepdims=True) / np.sqrt(seen.shape[1])
        return np.asarray(seen / np.where(length > 0, length, 1), np.float32)

    def _key(self, X: NDArray[np.uint8]) -> str:
        digest = hashlib.sha256(str((X.shape, self.network.card.name)).encode())
        for start in range(0, len(X), 1024):
            digest.update(np.ascontiguousarray(X[start : start + 1024]).data)
        for name, array in sorted(self.network.arrays().items()):
            digest.update(name.encode())
            digest.update(array.tobytes())
        return digest.hexdigest()[:24]


def _kind(name: str) -> type[NetworkMethod]:
    """Return the class of a network of the registry: the one in its task's file."""
    file = tasks.module("estimators", registry.card(name).task)
    kinds = (v for v in vars(file).values() if isinstance(v, type) and v is not NetworkMethod)
    return next(kind for kind in kinds if issubclass(kind, NetworkMethod))


def fit(options: Preprocess, train: Split, default_side: int) -> Fitted:
    """Fit preprocessing to the training split, a frozen network included.

    See `sightline.data.transforms.fit`.
    """
    if not options.features:
        return transforms.fit(options, train, default_side)
    backbone = Backbone.named(options.features)
    size = options.size or backbone.side
    fitted = transforms.fit(dataclasses.replace(options, size=size, scale="none"), train)
    fitted.embed = backbone
    return fitted
