"""Compare backpropagation with numeric differentiation in a trained network, layer by layer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.data import fonts
from sightline.errors import ParameterError, SightlineError
from sightline.models.backprop.classifier import NetworkClassifier, one_thread
from sightline.models.backprop.gradient_check import LayerCheck, check_layers
from sightline.models.backprop.losses import Loss
from sightline.models.backprop.network import Network
from sightline.models.backprop.training import differentiate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sightline.estimators.base import Estimator

TOLERANCE = 1e-6
"""Relative error from which a backward pass is wrong."""


class NoGradientsError(SightlineError):
    """The model is not a network of the NumPy package, so it has no layers to check."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The errors and times of both ways of differentiation.

    Parameters
    ----------
    layers : list of LayerCheck
    parameters : int
        Of the whole network.
    images : int
        In the batch.
    backprop_seconds : float
        One forward and one backward pass: all derivatives.
    numeric_seconds : float
        Two forward passes a parameter, scaled up from those tried.
    """

    layers: list[LayerCheck]
    parameters: int
    images: int
    backprop_seconds: float
    numeric_seconds: float

    @property
    def speedup(self) -> float:
        """Return how many times faster backpropagation is, over the whole network."""
        return self.numeric_seconds / self.backprop_seconds

    @property
    def worst(self) -> LayerCheck:
        """Return the layer with the largest error."""
        return max(self.layers, key=lambda layer: layer.error)

    @property
    def agrees(self) -> bool:
        """Tell whether every layer's error is below `TOLERANCE`."""
        return self.worst.error < TOLERANCE

    def document(self) -> dict[str, Any]:
        """Return the explanation as JSON can hold it."""
        return {
            "agrees": self.agrees, "tolerance": TOLERANCE, "parameters": self.parameters,
            "images": self.images, "backprop_seconds": self.backprop_seconds,
            "numeric_seconds": self.numeric_seconds, "speedup": self.speedup,
            "layers": [asdict(layer) | {"error": layer.error} for layer in self.layers],
        }  # fmt: skip


def explain(
    model: Estimator, *, images: int = 8, samples: int = 40, seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Explanation:  # fmt: skip
    """Compare the two ways of differentiation in a fitted network.

    Parameters
    ----------
    model : Estimator
        Of mlp-numpy or convnet-numpy.
    images : int
        Size of the batch, drawn at random: on images that it knows, a trained network is
        all but certain, and its gradients are too small to compare.
    samples : int
        Derivatives compared in each array.
    seed : int
    progress : callable, optional
        Called with (layers done, layers in all).

    Raises
    ------
    NoGradientsError
        When the model is none of those.
    ParameterError
        When `images` is below 2 or `samples` below 1.
    """
    if not isinstance(model.method_, NetworkClassifier):
        raise NoGradientsError(
            f"{model.name} is not written out in NumPy; take mlp-numpy or convnet-numpy"
        )
    if images < 2 or samples < 1:
        raise ParameterError(
            f"images={images} must be at least 2, and samples={samples} at least 1"
        )
    network, loss = model.method_.network(), model.method_.make_loss()
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(images, *network.shapes[0]))
    labels = rng.integers(0, network.shapes[-1][0], images)
    with one_thread():
        layers = check_layers(
            network, loss, x, labels, samples=samples, seed=seed, progress=progress
        )
        return _timed(network.astype(np.float64), loss, x, labels, layers)


def _timed(
    network: Network, loss: Loss, x: Any, labels: Any, layers: list[LayerCheck]
) -> Explanation:
    times = []
    for _ in range(7):
        start = time.perf_counter()
        differentiate(network, loss, x, labels)
        times.append(time.perf_counter() - start)
    numeric = sum(layer.numeric_seconds for layer in layers)
    return Explanation(layers, network.theta.size, len(x), float(np.median(times)), numeric)


def draw(explanation: Explanation, title: str) -> Figure:
    """Draw each layer's error, and the time of both ways, on logarithmic axes."""
    layers = explanation.layers
    drawing = fonts.figure(10.5, 1.7 + 0.34 * len(layers), dpi=120)
    left, right = drawing.subplots(1, 2, sharey=True)
    rows = np.arange(len(layers))
    left.set_yticks(rows, [f"{layer.name}  {'x'.join(map(str, layer.shape))}" for layer in layers])
    left.invert_yaxis()
    floor = 1e-16
    for name, key, marker, colour in (
        ("at the input", "input_error", "o", "#0072B2"),
        ("at the parameters", "parameter_error", "s", "#D55E00"),
    ):
        has = [key == "input_error" or layer.parameters > 0 for layer in layers]
        left.plot(
            [max(getattr(a, key), floor) for a, h in zip(layers, has, strict=True) if h],
            rows[has], marker, color=colour, label=name,
        )  # fmt: skip
    left.axvline(TOLERANCE, color="0.35", linestyle="--", linewidth=1.2)
    left.annotate(
        "wrong from here", (TOLERANCE, 1), xycoords=("data", "axes fraction"), xytext=(4, -4),
        textcoords="offset points", va="top", fontsize=8, color="0.35",
    )  # fmt: skip
    left.set(xscale="log", xlim=(1e-13, 3), xlabel="relative error of backpropagation")
    own = [i for i, layer in enumerate(layers) if layer.parameters]
    back = [layers[i].backward_seconds for i in own]
    numeric = [layers[i].numeric_seconds for i in own]
    right.hlines(own, back, numeric, color="0.8", linewidth=3, zorder=1)
    right.plot(back, own, "o", color="#0072B2", label="backpropagation")
    right.plot(numeric, own, "s", color="#D55E00", label="numeric (all parameters, scaled up)")
    for i, a, b in zip(own, back, numeric, strict=True):
        right.annotate(
            f"{b / a:,.0f}x", ((a * b) ** 0.5, i), ha="center", va="bottom", fontsize=8,
            xytext=(0, 2), textcoords="offset points",
        )  # fmt: skip
    right.set(xscale="log", xlabel="seconds a gradient")
    for axes in (left, right):
        axes.grid(visible=True, color="0.92")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.6 / (0.6 + 0.34 * len(layers))),
                    ncols=2, frameon=False, fontsize=9)  # fmt: skip
    drawing.suptitle(
        f"{title}: {explanation.parameters:,} parameters; backpropagation is "
        f"{explanation.speedup:,.0f} times faster"
    )
    return drawing
