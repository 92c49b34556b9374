r"""Build VGGs: many 3 x 3 convolutions and nothing else.

Simonyan & Zisserman, Very deep convolutional networks for large-scale image recognition, ICLR
2015. Two 3 x 3 convolutions see as much as one of 5 x 5, three as much as one of 7 x 7, with
fewer weights and more non-linearities between (section 2.3). The channels double where the
side halves. Table 1 of the paper, its columns A, B, D and E, with the side at 224 pixels:

==============  =====  =====  =====  =====  ===============
block           11     13     16     19     output
==============  =====  =====  =====  =====  ===============
1               1      2      2      2      64 x 112 x 112
2               1      2      2      2      128 x 56 x 56
3               2      2      3      4      256 x 28 x 28
4               2      2      3      4      512 x 14 x 14
5               2      2      3      4      512 x 7 x 7
fc 6, fc 7      linear, ReLU, dropout 0.5   4096
fc 8            linear                      classes
weights (1000)  132.9  133.0  138.4  143.7  million
==============  =====  =====  =====  =====  ===============

A block is so many convolutions, each with ReLU, and a 2 x 2 maximum. The ``_bn`` forms put batch
normalisation (Ioffe & Szegedy, 2015), which the paper did not have yet, before each ReLU; the
weights start as He et al. (2015) derived for ReLU, where the paper trained column A first and
grew it.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

CONVOLUTIONS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
"""How many in each block, by the number of layers with weights."""

WIDTHS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """VGG: maps images, (N, in_channels, H, W), to logits, (N, num_classes).

    Parameters
    ----------
    features : Module
        Convolutions and pooling, with 512 channels at the end; see `blocks`.
    num_classes : int
    init_weights : bool
    dropout : float
        Chance that an input of fc 7 and of fc 8 is left out in training.
    small : bool
        The form for images of 32 to 64 pixels a side, of which the features leave 1 x 1 or
        2 x 2: they are averaged into one linear layer, as fc 6 and fc 7 have 120 million
        weights that would see each of them 49 times. The features are the same.
    """

    def __init__(
        self,
        features: nn.Module,
        num_classes: int = 1000,
        init_weights: bool = True,
        dropout: float = 0.5,
        *,
        small: bool = False,
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1) if small else (7, 7))
        self.head_names = ("classifier",) if small else ("classifier.6",)
        self.classifier: nn.Module
        if small:
            self.classifier = nn.Linear(512, num_classes)
        else:
            self.classifier = nn.Sequential(
                nn.Linear(512 * 7 * 7, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(p=dropout),
                nn.Linear(4096, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(p=dropout),
                nn.Linear(4096, num_classes),
            )
        if init_weights:
            self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits of images that are standardised by channel."""
        x = self.avgpool(self.features(x))
        logits: Tensor = self.classifier(torch.flatten(x, 1))
        return logits


def blocks(
    counts: tuple[int, ...], batch_norm: bool = False, in_channels: int = 3
) -> nn.Sequential:
    """Build the five blocks, which map (N, C, H, W) to (N, 512, H // 32, W // 32)."""
    layers: list[nn.Module] = []
    channels = in_channels
    for count, width in zip(counts, WIDTHS, strict=True):
        for _ in range(count):
            layers.append(nn.Conv2d(channels, width, kernel_size=3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(inplace=True))
            channels = width
        layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(*layers)


def initialise(layer: nn.Module) -> None:
    """Draw a layer's weights so that the signal keeps its variance through ReLU."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    elif isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, 0, 0.01)
        nn.init.zeros_(layer.bias)


def vgg(
    num_classes: int = 1000,
    in_channels: int = 3,
    *,
    depth: int,
    batch_norm: bool = False,
    small: bool = False,
    dropout: float = 0.5,
) -> VGG:
    """Build a VGG of 11, 13, 16 or 19 layers with weights: columns A, B, D and E of table 1."""
    features = blocks(CONVOLUTIONS[depth], batch_norm, in_channels)
    return VGG(features, num_classes, dropout=dropout, small=small)


vgg11, vgg11_bn = partial(vgg, depth=11), partial(vgg, depth=11, batch_norm=True)
vgg13, vgg13_bn = partial(vgg, depth=13), partial(vgg, depth=13, batch_norm=True)
vgg16, vgg16_bn = partial(vgg, depth=16), partial(vgg, depth=16, batch_norm=True)
vgg19, vgg19_bn = partial(vgg, depth=19), partial(vgg, depth=19, batch_norm=True)
