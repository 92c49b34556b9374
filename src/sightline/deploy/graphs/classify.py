"""Turn fitted classifiers into graphs: from uint8 images to probabilities and labels.

Every method of the bench, from k-NN to ResNet, becomes one ``torch.nn.Module`` that takes images
of the run's own size, uint8 of shape (N, H, W, C), and does all that the run does: scaling,
features, the method, probabilities over all classes. The export then handles every method alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sightline.data.transforms import Fitted
from sightline.deploy.graphs.classify_neighbours import NearestVote
from sightline.errors import ParameterError
from sightline.estimators.backbone import Backbone
from sightline.estimators.classify import Classifier
from sightline.estimators.classify_network import ModuleClassifier
from sightline.models.backprop.classifier import NetworkClassifier
from sightline.models.backprop.network import Network
from sightline.models.classic.baselines import MajorityClassifier, NearestMeanClassifier
from sightline.models.classic.knn import KNNClassifier
from sightline.models.classic.linear import LinearClassifier
from sightline.models.classic.logistic import LogisticClassifier
from sightline.models.classify.imagenet import ImagenetClassifier
from sightline.models.features import Standardised
from sightline.training.views import views

Outputs = tuple[Tensor, ...]


def graph(run: Classifier) -> nn.Module:
    """Return a fitted classifier as a graph.

    Parameters
    ----------
    run : Classifier
        Fitted; of any method.

    Returns
    -------
    Module
        uint8 images, shape (N, H, W, C), to ``probabilities``, float32 of shape (N, classes), and
        ``label``, int64 of shape (N,); of k-NN also what
        `classify_neighbours.NearestVote` gives.

    Raises
    ------
    ParameterError
        When the method has no graph.
    """
    method = run.method_
    build = next((b for kind, b in _BUILDERS.items() if isinstance(method, kind)), None)
    if build is None:
        raise ParameterError(f"the method {run.name} has no ONNX graph, so it cannot be exported")
    inner = build(method)
    return Whole(Scaled(run.fitted_), inner, method.classes_, len(run.classes_)).eval()


class Whole(nn.Module):
    """A whole run as a module: scaling, the method, and probabilities over all its classes.

    A method knows only the classes that it was shown; the others get probability 0.
    """

    def __init__(
        self, scaled: nn.Module, method: nn.Module, seen: NDArray[np.int64], classes: int
    ) -> None:
        super().__init__()
        self.scaled, self.method = scaled, method
        places = np.full(classes, len(seen))
        places[seen] = np.arange(len(seen))
        self.register_buffer("places", torch.from_numpy(places))
        self.register_buffer("seen", torch.from_numpy(np.asarray(seen, np.int64)))
        self.all_seen = len(seen) == classes

    def forward(self, images: Tensor) -> Outputs:
        """Return probabilities, labels and the method's other outputs of uint8 (N, H, W, C)."""
        probabilities, place, *more = self.method(self.scaled(images))
        if not self.all_seen:
            all_of = nn.functional.pad(probabilities, (0, 1))
            probabilities = all_of.index_select(1, cast(Tensor, self.places))
        return (probabilities.float(), cast(Tensor, self.seen).index_select(0, place), *more)


class Scaled(nn.Module):
    """Preprocessing as `data.transforms.Fitted` does it, frozen features included."""

    def __init__(self, fitted: Fitted) -> None:
        super().__init__()
        self.scale = fitted.scale
        mean = fitted.mean if fitted.mean_image is None else fitted.mean_image
        self.register_buffer("mean", torch.from_numpy(np.array(mean, np.float32)))
        self.register_buffer("std", torch.from_numpy(np.array(fitted.std, np.float32)))
        backbone = fitted.embed
        self.features = backbone.module() if isinstance(backbone, Backbone) else None

    def forward(self, images: Tensor) -> Tensor:
        """Scale uint8 (N, H, W, C): to uint8 or floats of that shape, or to features (N, D)."""
        if self.features is not None:
            return cast(Tensor, self.features(images))
        if self.scale == "none":
            return images
        x, mean = images.float() * (1 / 255), cast(Tensor, self.mean)
        if self.scale == "standardise":
            return (x - mean) / cast(Tensor, self.std)
        return x - mean if self.scale == "mean-image" else x


class Convolutional(nn.Module):
    """A network of the registry; averages its answers over the run's views of an image."""

    def __init__(self, network: ModuleClassifier) -> None:
        super().__init__()
        self.standardised = Standardised(network.mean_, network.std_)
        self.model = network.model
        self.tta = network.recipe(int(network.side_.max())).tta
        self.temperature = float(network.temperature_)

    def forward(self, images: Tensor) -> Outputs:
        """Return probabilities (N, C) and places (N,) of uint8 images (N, H, W, C)."""
        weights, seen = zip(*views(self.standardised(images), self.tta), strict=True)
        logits = self.model(torch.cat(seen) if len(seen) > 1 else seen[0])
        p = torch.softmax(logits / self.temperature, 1)
        if len(seen) > 1:
            each = p.view(len(seen), -1, p.shape[1])
            p = (each * torch.tensor(weights)[:, None, None]).sum(0)
        return p, p.argmax(1)


class Published(nn.Module):
    """A network as it was trained on ImageNet."""

    def __init__(self, method: ImagenetClassifier) -> None:
        super().__init__()
        self.standardised = Standardised(method.mean_, method.std_)
        self.model = method.model

    def forward(self, images: Tensor) -> Outputs:
        """Return probabilities (N, C) and places (N,) of uint8 images (N, H, W, C)."""
        p = torch.softmax(self.model(self.standardised(images)), 1)
        return p, p.argmax(1)


class Layered(nn.Module):
    """A network of the NumPy package, rebuilt from torch's layers."""

    def __init__(self, method: NetworkClassifier) -> None:
        super().__init__()
        network = method.network()
        self.image = len(network.shapes[0]) == 3
        self.layers = nn.Sequential(*_torch_layers(network))
        probabilities = type(method.make_loss()).__name__ == "MeanSquaredError"
        self.end = nn.Identity() if probabilities else nn.Softmax(1)
        self.temperature = 1.0 if probabilities else float(method.temperature_)

    def forward(self, x: Tensor) -> Outputs:
        """Return probabilities (N, C) and places (N,) of scaled images (N, H, W, C)."""
        if x.dtype == torch.uint8:
            x = x.float() / 255
        x = x.permute(0, 3, 1, 2) if self.image else x.flatten(1)
        p = self.end(self.layers(x) / self.temperature)
        return p, p.argmax(1)


class Linear(nn.Module):
    """Linear scores in float64, one a class, then a rule that makes them probabilities."""

    def __init__(
        self,
        weights: NDArray[np.float64],
        intercept: NDArray[np.float64],
        rule: Callable[[Tensor], Outputs],
    ) -> None:
        super().__init__()
        self.register_buffer("weights", torch.from_numpy(np.ascontiguousarray(weights.T)))
        self.register_buffer("intercept", torch.from_numpy(np.array(intercept)))
        self.rule = rule

    def forward(self, x: Tensor) -> Outputs:
        """Return probabilities (N, C) and places (N,) of rows or images."""
        scores = x.flatten(1).double() @ cast(Tensor, self.weights) + cast(Tensor, self.intercept)
        return self.rule(scores)


class Means(nn.Module):
    """The nearest class mean, with the probabilities of a spherical Gaussian."""

    def __init__(self, method: NearestMeanClassifier) -> None:
        super().__init__()
        self.register_buffer("means", torch.from_numpy(method.means_))
        self.variance = float(method.variance_)

    def forward(self, x: Tensor) -> Outputs:
        """Return probabilities (N, C) and places (N,) of rows or images."""
        rows, means = x.flatten(1).double(), cast(Tensor, self.means)
        squared = ((rows[:, None] - means) ** 2).sum(2)
        p = torch.softmax(-squared / (2 * self.variance), 1)
        return p, (-squared).argmax(1)


class Prior(nn.Module):
    """The class frequencies of the training set, the same for every image."""

    def __init__(self, method: MajorityClassifier) -> None:
        super().__init__()
        self.register_buffer("prior", torch.from_numpy(method.prior_))

    def forward(self, x: Tensor) -> Outputs:
        """Return the same probabilities (N, C) and places (N,) for any input of N rows."""
        nothing = x.flatten(1)[:, :1].double() * 0
        p = nothing + cast(Tensor, self.prior)
        return p, p.argmax(1)


def _least_squares(method: LinearClassifier) -> nn.Module:
    def rule(scores: Tensor) -> Outputs:
        return _onto_simplex(scores), scores.argmax(1)

    return Linear(method.coef_, method.intercept_, rule)


def _logistic(method: LogisticClassifier) -> nn.Module:
    def two(scores: Tensor) -> Outputs:
        p = torch.cat([torch.sigmoid(-scores), torch.sigmoid(scores)], 1)
        return p, (p[:, 1] >= method.threshold).long()

    def many(scores: Tensor) -> Outputs:
        p = torch.softmax(scores, 1)
        return p, p.argmax(1)

    return Linear(method.coef_, method.intercept_, two if len(method.classes_) == 2 else many)


def _onto_simplex(scores: Tensor) -> Tensor:
    """Project scores onto the simplex; see `sightline.models.classic.linear.onto_simplex`."""
    falling = scores.sort(1, descending=True).values
    counts = torch.arange(1, scores.shape[1] + 1, dtype=scores.dtype)
    excess = (falling.cumsum(1) - 1) / counts
    kept = (falling > excess).sum(1, keepdim=True)
    positive = torch.relu(scores - excess.gather(1, kept - 1))
    return positive / positive.sum(1, keepdim=True)


def _torch_layers(network: Network) -> list[nn.Module]:
    """Return the NumPy package's layers as torch's, with images as (N, C, H, W) between them."""
    made: list[nn.Module] = []
    for layer, shape in zip(network.layers, network.shapes, strict=False):
        name = type(layer).__name__
        made += _LAYERS[name](layer, shape) if name in _LAYERS else _unknown(name)
    return made


def _unknown(name: str) -> list[nn.Module]:
    raise ParameterError(f"the network has a {name} layer, which cannot be exported")


class _ChannelsLast(nn.Module):
    """Turns (N, C, H, W) into (N, H, W, C), the order in which NumPy's layers flatten."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


def _affine(layer: Any, shape: Any) -> list[nn.Module]:
    weight = layer.parameters["weight"].T
    made = nn.Linear(weight.shape[1], weight.shape[0], layer.bias)
    return [_loaded(made, weight=weight, bias=layer.parameters.get("bias"))]


def _convolution(layer: Any, shape: Any) -> list[nn.Module]:
    weight = layer.parameters["weight"].transpose(3, 2, 0, 1)
    made = nn.Conv2d(
        weight.shape[1], weight.shape[0], layer.size, layer.stride, layer.padding, bias=layer.bias
    )
    return [_loaded(made, weight=weight, bias=layer.parameters.get("bias"))]


def _batch_norm(layer: Any, shape: Any) -> list[nn.Module]:
    kind = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    made = kind(shape[-1], layer.eps)
    return [
        _loaded(
            made,
            weight=layer.parameters["gamma"],
            bias=layer.parameters["beta"],
            running_mean=layer.state["running_mean"],
            running_var=layer.state["running_variance"],
        )
    ]


def _flatten(layer: Any, shape: Any) -> list[nn.Module]:
    return [_ChannelsLast(), nn.Flatten()] if len(shape) == 3 else [nn.Flatten()]


def _loaded(module: nn.Module, **arrays: NDArray[Any] | None) -> nn.Module:
    given = {k: torch.tensor(a, dtype=torch.float32) for k, a in arrays.items() if a is not None}
    module.load_state_dict(given, strict=False)
    return module


_LAYERS: dict[str, Callable[[Any, Any], list[nn.Module]]] = {
    "Affine": _affine,
    "Conv2d": _convolution,
    "BatchNorm": _batch_norm,
    "Flatten": _flatten,
    "Dropout": lambda layer, shape: [],
    "MaxPool2d": lambda layer, shape: [nn.MaxPool2d(layer.size, layer.stride, layer.padding)],
    "AvgPool2d": lambda layer, shape: [nn.AvgPool2d(layer.size, layer.stride, layer.padding)],
    "ReLU": lambda layer, shape: [nn.ReLU()],
    "LeakyReLU": lambda layer, shape: [nn.LeakyReLU(layer.slope)],
    "ELU": lambda layer, shape: [nn.ELU(layer.alpha)],
    "Tanh": lambda layer, shape: [nn.Tanh()],
    "Sigmoid": lambda layer, shape: [nn.Sigmoid()],
    "Softmax": lambda layer, shape: [nn.Softmax(1)],
}

_BUILDERS: dict[type, Callable[[Any], nn.Module]] = {
    ModuleClassifier: Convolutional,
    ImagenetClassifier: Published,
    NetworkClassifier: Layered,
    KNNClassifier: NearestVote,
    LinearClassifier: _least_squares,
    LogisticClassifier: _logistic,
    NearestMeanClassifier: Means,
    MajorityClassifier: Prior,
}
