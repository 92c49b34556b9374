r"""Build U-Nets: maps that grow coarser, then fine again, and are joined level by level.

Ronneberger, Fischer & Brox, U-Net: Convolutional networks for biomedical image segmentation, MICCAI
2015. The contracting path halves the side and doubles the channels; the expanding path doubles the
side again and is given, at each level, the map that the contracting path had there (figure 1):

.. math:: d_k = \mathrm{conv}(\mathrm{conv}([e_k, \mathrm{up}(d_{k + 1})]))

=====  ==========  ========  ============================================
level  channels    side      layers on the way down; up again
=====  ==========  ========  ============================================
1      64          S         two of 3 x 3; and 1 x 1 to the classes
2      128         S / 2     pooling, two of 3 x 3; transposed, joined, two
3      256         S / 4     the same
4      512         S / 8     the same, dropout
5      1024        S / 16    pooling, two of 3 x 3, dropout
=====  ==========  ========  ============================================

Every convolution of 3 x 3 is followed by ReLU; weights begin with a deviation of
:math:`\sqrt{2 / N}`, N being the numbers that each output sums (section 3). The loss of the paper
is `losses.boundary_weights` in `losses.cross_entropy`.

Departures: the convolutions are padded and so keep the side, where the paper's lose two pixels each
and answer for 388 pixels of 572; poolings round up and what is beyond a level's size is cut off, so
that pictures of any size are answered for at their own. ``batch_norm`` puts batch normalisation,
which the paper did not have, before each ReLU: without it a U-Net learns slowly from scratch.

`unet_lite` is the expanding path on any backbone of the bench: `ENCODERS` has their names and the
layers whose maps it joins. At the last level it joins the image itself. Its maps grow by
interpolation instead of a transposed convolution, and have few channels, for a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import torch
from torch import Tensor, nn

from sightline.errors import UnknownNameError
from sightline.models.classify import alexnet, convnet, googlenet, resnet, vgg
from sightline.models.classify.efficientnet_lite import EfficientNetLite
from sightline.models.detect.network import OnBackbone
from sightline.models.segment.fcn import rounded_up
from sightline.models.segment.network import SemanticModule, Stages, resized


def _pair(inputs: int, outputs: int, batch_norm: bool) -> nn.Sequential:
    """Build two 3 x 3 convolutions that keep the side, each with ReLU."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers.append(nn.Conv2d(channels, outputs, 3, padding=1, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _initialise(layer: nn.Module) -> None:
    """Draw the weights of a convolution with a deviation of sqrt(2 / N) (section 3)."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        outputs = layer.weight[0].numel()
        if isinstance(layer, nn.ConvTranspose2d):  # each of its outputs sums one place
            outputs = len(layer.weight)
        nn.init.normal_(layer.weight, std=math.sqrt(2 / outputs))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


class UNet(SemanticModule):
    """The paper's network; see the head of this file.

    Parameters
    ----------
    num_classes, in_channels : int
    width : int
        Channels of the first level.
    batch_norm : bool
    dropout : float
        Chance that a value at the end of the contracting path is left out in training.
    """

    head_names = ("head",)

    def __init__(
        self, num_classes: int = 2, in_channels: int = 1, *, width: int = 64,
        batch_norm: bool = False, dropout: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__()
        widths = [width * 2**level for level in range(5)]
        self.down = nn.ModuleList(
            _pair(inputs, outputs, batch_norm)
            for inputs, outputs in zip([in_channels, *widths], widths, strict=False)
        )
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.dropout = nn.Dropout(dropout)
        self.grow = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in widths[-2::-1])
        self.up = nn.ModuleList(_pair(2 * w, w, batch_norm) for w in widths[-2::-1])
        self.head = nn.Conv2d(width, num_classes, 1)
        self.apply(_initialise)

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Compute ``out``, the logits; see `SemanticModule.forward`."""
        x, skips = images, list[Tensor]()
        for level, convolutions in enumerate(self.down):
            x = convolutions(x if level == 0 else self.pool(x))
            if level >= 3:
                x = self.dropout(x)
            skips.append(x)
        for grow, convolutions, skip in zip(self.grow, self.up, skips[-2::-1], strict=True):
            x = grow(x)[:, :, : skip.shape[2], : skip.shape[3]]
            x = convolutions(torch.cat([skip, x], 1))
        return {"out": self.head(x)}


@dataclass(frozen=True)
class Encoder:
    """A backbone of `unet_lite`.

    Parameters
    ----------
    build : callable
        Makes the classifier, of keyword arguments ``num_classes`` and ``in_channels``.
    taps : tuple of str
        See `Stages`; the layers that come before each step.
    smallest : int
        Pixels a side that it needs.
    """

    build: Callable[..., nn.Module]
    taps: tuple[str, ...]
    smallest: int = 1


def _vgg(depth: int, batch_norm: bool) -> Encoder:
    layers = vgg.blocks(vgg.CONVOLUTIONS[depth], batch_norm)
    pools = [i for i, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]

    def build(**more: int) -> nn.Module:
        return rounded_up(vgg.vgg(depth=depth, batch_norm=batch_norm, small=True, **more))

    return Encoder(build, tuple(f"features.{i - 1}" for i in pools))


def _resnet(depth: int) -> Encoder:
    return Encoder(
        partial(resnet.resnet, depth=depth), ("relu", *(f"layer{i}" for i in range(1, 5)))
    )


def _lite(width: float, depth: float) -> Encoder:
    taps = tuple(f"blocks.{stage}" for stage in (0, 1, 2, 4, 6))
    return Encoder(partial(EfficientNetLite, width, depth), taps)


_INCEPTION = ("conv1", "conv3", "inception3b", "inception4e", "inception5b")

ENCODERS: Mapping[str, Encoder] = MappingProxyType(
    {
        "efficientnet_lite0": _lite(1.0, 1.0),
        "efficientnet_lite1": _lite(1.0, 1.1),
        "efficientnet_lite2": _lite(1.1, 1.2),
        "efficientnet_lite3": _lite(1.2, 1.4),
        "efficientnet_lite4": _lite(1.4, 1.8),
        **{f"resnet{depth}": _resnet(depth) for depth in resnet.STAGES},
        **{f"vgg{depth}": _vgg(depth, False) for depth in vgg.CONVOLUTIONS},
        **{f"vgg{depth}_bn": _vgg(depth, True) for depth in vgg.CONVOLUTIONS},
        "googlenet": Encoder(partial(googlenet.googlenet, aux_logits=False), _INCEPTION, 15),
        "alexnet": Encoder(alexnet.alexnet, ("features.1", "features.4", "features.11"), 31),
        "convnet": Encoder(convnet.convnet, ("features.3", "features.7"), 4),
    }
)
"""Backbones by the name of the classifier, whose published weights fit.

ResNet-9 is none, as its first filters are computed from the training images, nor is the MLP, which
has no maps.
"""


class UNetLite(OnBackbone, SemanticModule):
    """A narrow expanding path on a classifier's maps; see the head of this file.

    Parameters
    ----------
    backbone : Stages
    num_classes, in_channels : int
    widths : tuple of int
        Channels of the last levels, the coarsest first; as many are used as there are maps.
    """

    head_names = ("head",)

    def __init__(
        self, backbone: Stages, num_classes: int, in_channels: int, widths: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.backbone = backbone
        *skips, inputs = in_channels, *backbone.out_channels
        self.up = nn.ModuleList()
        for skip, width in zip(skips[::-1], widths[-len(skips) :], strict=True):
            self.up.append(_pair(inputs + skip, width, batch_norm=True))
            inputs = width
        self.head = nn.Conv2d(inputs, num_classes, 1)
        self.up.apply(_initialise)
        _initialise(self.head)

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Compute ``out``, the logits; see `SemanticModule.forward`."""
        maps: list[Tensor] = self.backbone(images)
        *skips, x = images, *maps
        for convolutions, skip in zip(self.up, skips[::-1], strict=True):
            x = convolutions(torch.cat([skip, resized(x, skip)], 1))
        return {"out": self.head(x)}


def unet(num_classes: int = 21, in_channels: int = 3) -> UNet:
    """Build the paper's U-Net: 31 million weights."""
    return UNet(num_classes, in_channels)


def unet_bn(num_classes: int = 21, in_channels: int = 3) -> UNet:
    """Build the paper's U-Net with batch normalisation before each ReLU."""
    return UNet(num_classes, in_channels, batch_norm=True)


def unet_lite(
    num_classes: int = 21, in_channels: int = 3, *, backbone: str = "efficientnet_lite0",
    widths: tuple[int, int, int, int, int] = (128, 64, 32, 24, 16),
) -> UNetLite:  # fmt: skip
    """Build a U-Net on a backbone of the bench.

    Parameters
    ----------
    num_classes, in_channels : int
    backbone : str
        One of `ENCODERS`.
    widths : tuple of int
        Channels of the levels of the expanding path, the coarsest first.

    Raises
    ------
    UnknownNameError
        When there is no such backbone.
    """
    if backbone not in ENCODERS:
        raise UnknownNameError("backbone", backbone, ENCODERS)
    about = ENCODERS[backbone]
    whole = about.build(num_classes=1, in_channels=in_channels)
    stages = Stages(whole, about.taps, about.smallest)
    return UNetLite(stages, num_classes, in_channels, widths)
