"""Freeze a trained network: its features of images serve k-NN and linear models.

With few photographs this is the strongest cheap method: the network has learned what matters in
images from many others (Donahue et al., DeCAF, 2014), and only the last step is learned anew.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sightline import tasks
from sightline.data import images as pictures
from sightline.data import store, transforms
from sightline.data.dataset import Split
from sightline.data.transforms import Fitted, Preprocess, Views
from sightline.errors import ParameterError, RunError, UnknownNameError, missing, wrong_kind
from sightline.estimators import proportions
from sightline.estimators.network import NetworkMethod
from sightline.metrics import threads
from sightline.models import registry
from sightline.training import run
from sightline.types import Progress

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sightline.models.card import ModelCard

BATCH = 64
"""Images whose features are computed at once."""

KEPT = 128
"""Images beyond which features are kept on the disk."""

WORTH = 128
"""Images from which on a graph is written first, once, to be computed by ONNX Runtime. Their number
alone decides, not whether the graph is there: else the same call would give other last bits."""

SMALL_FOR_FEATURES = 24
"""Pixels a side below which little of what a network has learned of photographs is of use."""

PREFIX = "features."


class Backbone:
    """A trained network up to some of its layers: maps bytes of images to rows of features.

    Parameters
    ----------
    network : NetworkMethod
        Fitted, or with published weights.
    layers : sequence of str
        See `sightline.models.features.FeatureExtractor`.
    views : {"one", "flip", "crops"}
        See there.
    enlarge : int
        Pixels a side that smaller images are scaled up to before the network sees them; 0: none.

    Raises
    ------
    UnknownNameError, ParameterError
        When the network has no such layer.
    """

    def __init__(
        self, network: NetworkMethod, layers: Sequence[str] = (), views: Views = "one",
        enlarge: int = 0,
    ) -> None:  # fmt: skip
        from sightline.models.features import FeatureExtractor, Standardised

        self.network, self.enlarge = network, enlarge
        self._opened: dict[tuple[int, ...], Any] = {}  # sessions, by the shape of an image
        network.model.eval()
        self.extractor = FeatureExtractor(network.model, layers, views)
        self.standardised = Standardised(network.mean_, network.std_)

    @classmethod
    def named(cls, spec: str, views: Views = "one") -> Backbone:
        """Return the features that text names: ``SOURCE`` or ``SOURCE@LAYER+LAYER``.

        Parameters
        ----------
        spec : str
            The source is the folder of a network's run, ``imagenet:NAME`` or ``timm:NAME``.
        views : {"one", "flip", "crops"}

        Raises
        ------
        ParameterError
            When the run is no network's, or the source is none of the three.
        RunError, UnknownNameError, WeightsError, MissingExtraError
            When it cannot be read or fetched, or has no such layer.
        """
        source, layers = parted(spec)
        return cls(_network(source), layers, views)

    @property
    def side(self) -> int:
        """Return the pixels a side that the network was made for."""
        return int(self.network.side_.max())

    def __call__(
        self, X: NDArray[np.uint8], progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Return features of images, shape (N, H, W, C): shape (N, D).

        Of more than `KEPT` they are kept under ``SIGHTLINE_HOME/features``, by what the images, the
        weights and the layers are.

        Parameters
        ----------
        X : uint8 array, shape (N, H, W, C)
        progress : callable, optional
            Called with (images done, images in all).
        """
        if len(X) <= KEPT:
            return self._computed(X)
        place = store.home() / "features" / f"{self._key(X)}.safetensors"
        with contextlib.suppress(RunError, KeyError):  # missing, or damaged: then it is renewed
            return np.asarray(run.read_arrays(place)["features"], np.float32)
        seen = self._computed(X, progress)
        with contextlib.suppress(RunError, OSError):  # a read-only cache costs time, no answer
            place.parent.mkdir(parents=True, exist_ok=True)
            run.write_arrays(place, {"features": seen}, {})
        return seen

    def prepared(self, images: Sequence[Any]) -> NDArray[np.uint8]:
        """Return images of any form that `Estimator.predict` takes as the network wants them.

        Returns
        -------
        uint8 array, shape (N, side, side, C)
            Of pictures the middle, scaled.

        Raises
        ------
        DataError
            When one cannot be read.
        """
        mode: Literal["L", "RGB"] = "L" if len(self.network.mean_) == 1 else "RGB"
        size = (self.side, self.side)
        return np.stack([pictures.prepare(image, size, mode)[0] for image in images])

    def patches(self, X: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return features of the patches of images, shape (N, h, w, D).

        A patch is what one place of the layers' map stands for: of ``imagenet:efficientnet_lite0``
        at 224 pixels ``blocks.2`` gives 28 x 28 of them, ``blocks.4`` 14 x 14.

        Parameters
        ----------
        X : uint8 array, shape (N, H, W, C)

        Raises
        ------
        ParameterError
            When a layer has no places.
        """
        import torch

        with torch.inference_mode():
            parts = [
                self.extractor.maps(self._input(torch.from_numpy(X[i : i + BATCH])))
                for i in range(0, len(X), BATCH)
            ]
            return torch.cat(parts).permute(0, 2, 3, 1).contiguous().cpu().numpy()

    def module(self) -> nn.Module:
        """Return the features as one module: uint8 images (N, H, W, C) to rows (N, D)."""
        from torch import nn

        backbone = self

        class Features(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.standardised, self.extractor = backbone.standardised, backbone.extractor

            def forward(self, images: Tensor) -> Tensor:
                rows: Tensor = self.extractor(backbone._input(images))
                return rows

        return Features().eval()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a run saves, so that it needs nothing else."""
        return {f"{PREFIX}{name}": array for name, array in self.network.arrays().items()}

    def plain(self) -> dict[str, Any]:
        """Return what a run's configuration says of it; `restored` takes it back."""
        return {
            "model": self.network.card.name, "layers": list(self.extractor.layers),
            "views": self.extractor.views, "enlarge": self.enlarge,
        }  # fmt: skip

    @classmethod
    def restored(
        cls, said: str | Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> Backbone:
        """Make a backbone from what `plain` and `arrays` returned.

        Parameters
        ----------
        said : mapping, or str
            In runs of before layers could be named the name of the model alone.
        arrays : mapping
        """
        known = {"model": said} if isinstance(said, str) else dict(said)
        model = known.pop("model")
        network = _kind(model)(registry.card(model), {})
        network.restore(
            {n.removeprefix(PREFIX): a for n, a in arrays.items() if n.startswith(PREFIX)}
        )
        return cls(network, **known)

    def _input(self, images: Tensor) -> Tensor:
        from sightline.models.features import enlarged

        return enlarged(self.standardised(images), self.enlarge)

    def _computed(
        self, X: NDArray[np.uint8], progress: Progress | None = None
    ) -> NDArray[np.float32]:
        compute = self._session(X) or self._eager
        rows = []
        for start in range(0, len(X), BATCH):
            rows.append(compute(np.require(X[start : start + BATCH], requirements=("C", "W"))))
            if progress:
                progress(min(start + BATCH, len(X)), len(X))
        return np.concatenate(rows)

    def _eager(self, X: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            rows: NDArray[np.float32] = self.extractor(self._input(torch.from_numpy(X))).numpy()
        return rows

    def _session(
        self, X: NDArray[np.uint8]
    ) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None:
        """Return what computes features by ONNX Runtime; None: it is not here, or not worth it.

        The graph is kept under ``SIGHTLINE_HOME/graphs``, as writing it takes seconds.
        """
        import torch

        from sightline.models import onnx_graph

        if len(X) < WORTH or not onnx_graph.can_write():
            return None
        import onnxruntime

        said = (X.shape[1:], sorted(self.plain().items()), self._weights(), torch.__version__)
        name = hashlib.sha256(str(said).encode()).hexdigest()[:24]
        place = store.home() / "graphs" / f"{name}.onnx"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads.in_use()
        options.log_severity_level = 3
        # What cannot be written as a graph, or kept, is computed by torch.
        with contextlib.suppress(ParameterError, OSError):
            if not place.is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
                    part, some = Path(scratch) / place.name, torch.from_numpy(np.array(X[:2]))
                    axes = {0: onnx_graph.dynamic()}
                    onnx_graph.write(self.module(), some, ["images"], ["features"], axes, part)
                    part.replace(place)
            if X.shape[1:] not in self._opened:
                self._opened[X.shape[1:]] = onnxruntime.InferenceSession(
                    place, options, providers=["CPUExecutionProvider"]
                )
            session = self._opened[X.shape[1:]]
            return lambda part: np.asarray(session.run(None, {"images": part})[0], np.float32)
        return None

    def _key(self, X: NDArray[np.uint8]) -> str:
        digest = hashlib.sha256(str((X.shape, sorted(self.plain().items()))).encode())
        for start in range(0, len(X), 1024):
            digest.update(np.ascontiguousarray(X[start : start + 1024]).data)
        digest.update(self._weights().encode())
        return digest.hexdigest()[:24]

    def _weights(self) -> str:
        """Return hex digits that differ for other weights."""
        digest = hashlib.sha256()
        for name, array in sorted(self.network.arrays().items()):
            digest.update(name.encode())
            digest.update(array.tobytes())
        return digest.hexdigest()


def load_backbone(features: str, views: Views = "one") -> Backbone:
    """Load a trained network, to compute features of images and of their patches.

    Parameters
    ----------
    features : str
        ``imagenet:NAME``, ``timm:NAME`` or the folder of a network's run; with ``@LAYER+LAYER``
        behind it the features of these layers.
    views : {"one", "flip", "crops"}
        What rows of features are averaged over; see `sightline.data.transforms.Preprocess`.

    Raises
    ------
    ParameterError, RunError, UnknownNameError, WeightsError, MissingExtraError
        When it cannot be had, or has no such layer.

    Examples
    --------
    >>> import sightline
    >>> net = sightline.load_backbone("imagenet:efficientnet_lite0@blocks.4")  # doctest: +SKIP
    >>> net.patches(net.prepared(["photo.jpg"])).shape  # doctest: +SKIP
    (1, 14, 14, 112)
    """
    if not isinstance(features, str):
        raise wrong_kind("features is the name of a network, such as imagenet:NAME", features)
    if views not in get_args(Views):
        raise UnknownNameError("views", views, get_args(Views))
    return Backbone.named(features, views)


def small_note(fitted: Fitted, method: Any) -> list[str]:
    """Return a remark where images are small for a network that was trained on larger ones.

    Parameters
    ----------
    fitted : Fitted
    method : Method
        Fitted; of a network, ``model.enlarge`` tells what its images were enlarged to.
    """
    enlarge = getattr(fitted.embed, "enlarge", 0)
    enlarge = enlarge or getattr(getattr(method, "model", None), "enlarge", 0)
    side = max(fitted.size)
    if not enlarge or side >= SMALL_FOR_FEATURES:
        return []
    return [
        f"images of {side} pixels a side are small for a network that was trained on photographs: "
        f"they were enlarged to {enlarge}, and methods on their pixels may do better"
    ]


def parted(spec: str) -> tuple[str, tuple[str, ...]]:
    """Part the name of features into its source and its layers.

    A folder whose name has an ``@`` is taken as it is.

    Examples
    --------
    >>> parted("imagenet:efficientnet_lite0@blocks.2+blocks.4")
    ('imagenet:efficientnet_lite0', ('blocks.2', 'blocks.4'))
    """
    if Path(spec).is_dir():
        return spec, ()
    source, mark, layers = spec.rpartition("@")
    if not mark:
        return spec, ()
    return source, tuple(layers.split("+"))


def _network(source: str) -> NetworkMethod:
    """Return the network of a run's folder, or one with published weights."""
    kind, _, name = source.partition(":")
    if kind in ("imagenet", "timm", "torchvision") and name:
        card = registry.card(name if kind == "imagenet" else source)
        if card.kind != "module":
            raise ParameterError(f"{name} is no network, so it has no features")
        return _kind(card.name).with_published(card)
    if not Path(source).is_dir():
        raise ParameterError(
            f"features={missing(source, 'no such run')}; give a run's folder, imagenet:NAME or "
            "timm:NAME"
        )
    config = run.read_config(Path(source))
    model = config["model"]
    if registry.card(model).kind != "module":
        raise ParameterError(f"{source} is no network's run, so it has no features")
    network = _kind(model)(registry.card(model), config.get("options", {}))
    network.restore(run.read_arrays(Path(source) / run.MODEL))
    return network


def _kind(name: str) -> type[NetworkMethod]:
    """Return the class of a network of the registry: the one in its task's file."""
    file = tasks.module("estimators", registry.card(name).task)
    kinds = (v for v in vars(file).values() if isinstance(v, type) and v is not NetworkMethod)
    return next(kind for kind in kinds if issubclass(kind, NetworkMethod))


def fit(options: Preprocess, train: Split, card: ModelCard) -> Fitted:
    """Fit preprocessing to the training split, a frozen network included.

    Square images that are all smaller than the network was made for stay as they are, and are
    enlarged where the network sees them: packed at its size they would fill the disk.

    Parameters
    ----------
    options : Preprocess
    train : Split
    card : ModelCard
        Of the method; says the size where nothing else does.

    Raises
    ------
    ParameterError, RunError, UnknownNameError, WeightsError, MissingExtraError
        See `Backbone.named` and `sightline.data.transforms.fit`.
    """
    own = train.data.size
    if not options.features:
        if card.step:
            return transforms.fit(options, train, size=proportions.size(train, options.size, card))
        if card.starts_from and not options.size and own and max(own) > card.largest_side:
            options = dataclasses.replace(options, size=card.largest_side)
        return transforms.fit(options, train, card.largest_side)
    from sightline.models.features import enlarged_side

    backbone = Backbone.named(options.features, options.views)
    size = options.size or backbone.side
    if not options.size and own and own[0] == own[1] < backbone.side:
        size, backbone.enlarge = own[0], enlarged_side(own[0], backbone.side)
    fitted = transforms.fit(dataclasses.replace(options, size=size, scale="none"), train)
    fitted.embed = backbone
    return fitted
