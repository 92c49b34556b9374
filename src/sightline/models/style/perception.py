"""Look at pictures through a trained network, at layers that tell content and style apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional

from sightline.errors import ParameterError
from sightline.models.features import FeatureExtractor, watched


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers of a network that content and style are seen at.

    Parameters
    ----------
    content, style : tuple of str
        Names as ``model.named_modules()`` has them, the first computed first.
    """

    content: tuple[str, ...]
    style: tuple[str, ...]


_LITE = Layers(("blocks.2.1",), ("act", "blocks.0.0", "blocks.1.1", "blocks.2.1", "blocks.4.0"))

LAYERS: Mapping[str, Layers] = MappingProxyType(
    {
        # conv4_2 for the content, conv1_1 to conv5_1 for the style, after their ReLUs (section 2).
        "vgg19": Layers(
            ("features.22",),
            ("features.1", "features.6", "features.11", "features.20", "features.29"),
        ),
        "vgg16": Layers(
            ("features.18",),
            ("features.1", "features.6", "features.11", "features.18", "features.25"),
        ),
        **{f"efficientnet_lite{number}": _LITE for number in range(5)},
    }
)
"""By the name of the network; what `usual_layers` finds for others."""

DEPTHS = 5
"""Layers that `usual_layers` returns at most: as many as the paper compares styles at."""


class Perception(nn.Module):
    """A frozen network that pictures are seen through.

    Parameters
    ----------
    model : Module
        Is put into evaluation mode, and takes no gradient from here on. Maxima are replaced by
        means over the same places, as the paper found more appealing (section 2).
    mean, std : sequence of float, length 3
        That it wants its input standardised by, in units of [0, 1].
    layers : Layers

    Raises
    ------
    UnknownNameError
        When there is no layer of that name; the nearest is suggested.
    """

    def __init__(
        self, model: nn.Module, mean: Sequence[float], std: Sequence[float], layers: Layers
    ) -> None:
        super().__init__()
        self.layers = layers
        self.names = tuple(dict.fromkeys((*layers.content, *layers.style)))
        self.seen = FeatureExtractor(averaging(model).eval().requires_grad_(False), self.names)
        self.mean, self.std = [float(m) for m in mean], [float(s) for s in std]

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Compute what the layers put out.

        Parameters
        ----------
        pictures : Tensor, shape (N, 3, H, W)
            In [0, 1].

        Returns
        -------
        dict of str to Tensor, shape (N, C, h, w)
            By layer.

        Raises
        ------
        ParameterError
            When a layer puts out no map.
        """
        x = functional.normalize_image(pictures, self.mean, self.std)
        maps = dict(zip(self.names, self.seen.outputs(x), strict=True))
        for name, out in maps.items():
            if out.ndim != 4:
                raise ParameterError(
                    f"the layer {name} puts out no map but shape {tuple(out.shape[1:])}; name a "
                    "layer of the network's convolutions"
                )
        return maps


def averaging(model: nn.Module) -> nn.Module:
    """Replace the maxima over places by means over the same places, in the network itself."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.MaxPool2d):
            mean = nn.AvgPool2d(
                layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode,
                count_include_pad=False,
            )  # fmt: skip
            model.set_submodule(name, mean)
    return model


def usual_layers(name: str, model: nn.Module) -> Layers:
    """Return the layers to see content and style at, of any network with convolutions.

    Parameters
    ----------
    name : str
        Of the network; those of `LAYERS` were chosen by looking.
    model : Module

    Returns
    -------
    Layers
        Of other networks the last layer before each halving of the maps, five at most; the content
        is seen at the middle one.

    Raises
    ------
    ParameterError
        When it has no convolutions.
    """
    if name in LAYERS:
        return LAYERS[name]
    if not any(isinstance(layer, nn.Conv2d) for layer in model.modules()):
        raise ParameterError(
            f"{name} has no convolutions, so it sees no style; name a network that has them, such "
            "as imagenet:efficientnet_lite0"
        )
    last: dict[tuple[int, ...], str] = {}
    times: dict[str, int] = {}

    def keep(layer: str, value: Any) -> None:
        times[layer] = times.get(layer, 0) + 1
        if isinstance(value, Tensor) and value.ndim == 4 and min(value.shape[2:]) > 1:
            last[tuple(value.shape[2:])] = layer

    inner = [n for n, m in model.named_modules() if n and not isinstance(m, nn.Dropout)]
    model.eval()
    with watched(model, inner, keep), torch.no_grad():
        model(torch.zeros(1, 3, 128, 128))
    layers = [layer for layer in last.values() if times[layer] == 1][:DEPTHS]
    if not layers:
        raise ParameterError(f"{name} has no layer with maps that are used once; name some")
    return Layers((layers[len(layers) // 2],), tuple(layers))


def chosen(layers: Layers, content: Sequence[str] = (), style: Sequence[str] = ()) -> Layers:
    """Return layers, some of them chosen by name."""
    return Layers(tuple(content) or layers.content, tuple(style) or layers.style)
