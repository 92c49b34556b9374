"""Turn fitted detectors of anomalies into graphs: from uint8 images to scores and maps of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sightline.errors import ParameterError
from sightline.estimators.anomaly import AnomalyDetector
from sightline.estimators.anomaly_network import CELL, AnomalyNetwork
from sightline.estimators.backbone import Backbone
from sightline.models.anomaly.autoencoder import error_map
from sightline.models.anomaly.knn_features import KNNFeatures
from sightline.models.anomaly.method import SHARP, AnomalyMethod
from sightline.models.anomaly.padim import PaDiM
from sightline.models.anomaly.patchcore import PatchCore
from sightline.models.anomaly.pixel_mean import CELL as PIXELS
from sightline.models.anomaly.pixel_mean import PixelMean
from sightline.models.features import Standardised


def graph(run: AnomalyDetector) -> nn.Module:
    """Return a fitted detector of anomalies as a graph.

    Parameters
    ----------
    run : AnomalyDetector
        Fitted.

    Returns
    -------
    Module
        uint8 images, shape (N, H, W, C), to ``score``, float32 (N,), and, where the method knows
        places, ``heat``, float32 (N, H, W).

    Raises
    ------
    ParameterError
        When the method has no graph.
    """
    method = run.method_
    build = next((b for kind, b in _BUILDERS.items() if isinstance(method, kind)), None)
    if build is None:
        raise ParameterError(f"the method {run.name} has no ONNX graph, so it cannot be exported")
    embed = run.fitted().embed
    seen: nn.Module = nn.Identity()
    if method.sees != "pixels":
        backbone = cast(Backbone, embed)
        seen = backbone.module() if method.sees == "rows" else Patches(backbone)
    return Graded(seen, build(method), method, run.fitted().size).eval()


class Patches(nn.Module):
    """The features of an image's patches, (N, D, h, w), of uint8 images (N, H, W, C)."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.standardised, self.extractor = backbone.standardised, backbone.extractor
        self.enlarge = backbone.enlarge

    def forward(self, images: Tensor) -> Tensor:
        """Compute the maps."""
        from sightline.models.features import enlarged

        return self.extractor.maps(enlarged(self.standardised(images), self.enlarge))


class Graded(nn.Module):
    """Distances from good pictures as scores: 0.5 at the threshold."""

    def __init__(
        self, seen: nn.Module, distances: nn.Module, method: AnomalyMethod, size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.seen, self.distances, self.size = seen, distances, size
        self.limit = float(method.limit_[0])

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Grade uint8 images (N, H, W, C)."""
        d = self.distances(self.seen(images)).float()
        heat = 1 / (1 + (self.limit / d) ** SHARP)
        if heat.ndim == 1:
            return (heat,)
        whole = functional.interpolate(
            heat[:, None], self.size, mode="bilinear", align_corners=False
        )
        return heat.flatten(1).amax(1), whole[:, 0]


def _kept(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))


class Away(nn.Module):
    """The distance of each pixel from its mean, over cells; see `PixelMean`."""

    def __init__(self, method: PixelMean) -> None:
        super().__init__()
        self.register_buffer("mean", _kept(method.mean_))
        self.register_buffer("std", _kept(method.std_))

    def forward(self, images: Tensor) -> Tensor:
        """Measure uint8 images (N, H, W, C): (N, h, w)."""
        off = ((images.float() - cast(Tensor, self.mean)).abs() / cast(Tensor, self.std)).mean(-1)
        return functional.avg_pool2d(off[:, None], PIXELS)[:, 0]


def _to_nearest(rows: Tensor, bank: Tensor, k: int) -> Tensor:
    """Return the mean distance of rows (M, d) to the k nearest of a bank (d, n): (M,)."""
    squares = (bank * bank).sum(0)
    away = (rows * rows).sum(1, keepdim=True) + squares - 2 * rows @ bank
    near = away.amin(1, keepdim=True) if k == 1 else away.topk(k, 1, largest=False).values
    return near.clamp(min=0).sqrt().mean(1)


class Neighbours(nn.Module):
    """The mean distance of rows of features to the nearest good ones; see `KNNFeatures`."""

    def __init__(self, method: KNNFeatures) -> None:
        super().__init__()
        self.register_buffer("bank", _kept(method.bank_.T))
        self.k = min(method.k, len(method.bank_))

    def forward(self, rows: Tensor) -> Tensor:
        """Measure rows (N, D): (N,)."""
        return _to_nearest(rows, cast(Tensor, self.bank), self.k)


class NearestPatch(nn.Module):
    """The distance of each patch to the nearest of the bank; see `PatchCore`."""

    def __init__(self, method: PatchCore) -> None:
        super().__init__()
        self.register_buffer("mean", _kept(method.mean_))
        self.register_buffer("std", _kept(method.std_))
        self.register_buffer("bank", _kept(method.bank_.T))
        self.projected = bool(method.projection_.size)
        self.register_buffer("projection", _kept(method.projection_))

    def forward(self, maps: Tensor) -> Tensor:
        """Measure maps of features (N, D, h, w): (N, h, w)."""
        mean = functional.avg_pool2d(maps, 3, 1, 1, count_include_pad=False)
        width, high, wide = mean.shape[1:]
        rows = mean.permute(0, 2, 3, 1).reshape(-1, width)
        rows = (rows - cast(Tensor, self.mean)) / cast(Tensor, self.std)
        if self.projected:
            rows = rows @ cast(Tensor, self.projection)
        return _to_nearest(rows, cast(Tensor, self.bank), 1).reshape(-1, high, wide)


class Mahalanobis(nn.Module):
    """The distance of each place's features from its good ones; see `PaDiM`."""

    def __init__(self, method: PaDiM) -> None:
        super().__init__()
        self.register_buffer("chosen", torch.from_numpy(method.chosen_))
        self.register_buffer("mean", _kept(method.mean_))
        self.register_buffer("whitening", _kept(method.whitening_))

    def forward(self, maps: Tensor) -> Tensor:
        """Measure maps of features (N, D, h, w): (N, h, w)."""
        some = maps.index_select(1, cast(Tensor, self.chosen)).permute(0, 2, 3, 1)
        off = (some - cast(Tensor, self.mean)).permute(1, 2, 3, 0)
        white = cast(Tensor, self.whitening) @ off
        return (white * white).sum(2).sqrt().permute(2, 0, 1)


class NotGivenBack(nn.Module):
    """The error of an autoencoder in each cell; see `AnomalyNetwork`."""

    def __init__(self, method: AnomalyNetwork) -> None:
        super().__init__()
        self.standardised = Standardised(method.mean_, method.std_)
        self.model = method.model

    def forward(self, images: Tensor) -> Tensor:
        """Measure uint8 images (N, H, W, C): (N, h, w)."""
        x = self.standardised(images)
        return error_map(x, self.model(x), CELL)


_BUILDERS: dict[type[AnomalyMethod], Callable[[Any], nn.Module]] = {
    PixelMean: Away, KNNFeatures: Neighbours, PatchCore: NearestPatch, PaDiM: Mahalanobis,
    AnomalyNetwork: NotGivenBack,
}  # fmt: skip
