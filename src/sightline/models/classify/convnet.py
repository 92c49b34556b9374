r"""Build a convolutional network of LeNet's size: look near, pool, look wider, decide.

The plan is LeNet-5's (LeCun, Bottou, Bengio & Haffner, Gradient-based learning applied to
document recognition, Proceedings of the IEEE 1998, figure 2 and section II.B): two layers of
5 x 5 filters, each pooled to half the side, then 120, 84 and as many units as classes.

======  =====================================  ============
layer   operation                              output
======  =====================================  ============
C1, S2  5 x 5 convolution; max pool, BN, ReLU  16 x 14 x 14
C3, S4  5 x 5 convolution; max pool, BN, ReLU  32 x 7 x 7
C5      linear, BN, ReLU                       120
F6      linear, ReLU                           84
output  linear                                 classes
======  =====================================  ============

What has been learned since: ReLU for the scaled tanh (Glorot et al., 2011), the maximum for the
mean in pooling, batch normalisation (Ioffe & Szegedy, 2015), padding so that the border counts,
cross-entropy for the distance to drawn codes (section II.B, output layer), and filters that see
all maps of the layer before, where C3 had the table of connections (table I) to save time.
212,710 weights with 28 x 28 grey pixels, where LeNet-5 has 60,000.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvNet(nn.Module):
    """ConvNet: maps images, (N, in_channels, H, W), to logits, (N, num_classes).

    Parameters
    ----------
    num_classes : int
    in_channels : int
    side : (height, width)
        Of the images, pixels; 4 and more.
    widths : (int, int)
        Filters of the two convolutions.
    """

    head_names = ("classifier.5",)

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        side: tuple[int, int] = (28, 28),
        widths: tuple[int, int] = (16, 32),
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], 5, padding=2, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
            nn.Conv2d(widths[0], widths[1], 5, padding=2, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(widths[1]),
            nn.ReLU(inplace=True),
        )
        self.classifier = nn.Sequential(
            nn.Linear(widths[1] * (side[0] // 4) * (side[1] // 4), 120, bias=False),
            nn.BatchNorm1d(120),
            nn.ReLU(inplace=True),
            nn.Linear(120, 84),
            nn.ReLU(inplace=True),
            nn.Linear(84, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits of images that are standardised by channel."""
        logits: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits


def convnet(
    num_classes: int = 10, in_channels: int = 1, side: tuple[int, int] = (28, 28)
) -> ConvNet:
    """Build LeNet-5's plan with 16 and 32 filters."""
    return ConvNet(num_classes, in_channels, side)
