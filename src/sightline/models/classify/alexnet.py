r"""Build AlexNet, the network that brought deep learning to vision.

In 2012 it brought the error of ImageNet's challenge down from 26% to 15% (Krizhevsky, Sutskever
& Hinton, ImageNet classification with deep convolutional neural networks, NIPS 2012). The form
here, which is torchvision's, is its author's of 2014 (Krizhevsky, One weird trick for
parallelizing convolutional neural networks, 2014), for one device:

==========  =================================  ============  ===========
layer       operation                          output        of 2012
==========  =================================  ============  ===========
conv 1      11 x 11, stride 4, ReLU            64 x 55 x 55  96 filters
pool        3 x 3, stride 2                    64 x 27 x 27
conv 2      5 x 5, ReLU                        192 x 27      256, groups
pool        3 x 3, stride 2                    192 x 13
conv 3      3 x 3, ReLU                        384 x 13
conv 4      3 x 3, ReLU                        256 x 13      384, groups
conv 5      3 x 3, ReLU                        256 x 13      groups
pool        3 x 3, stride 2                    256 x 6 x 6
fc 6, fc 7  dropout 0.5, linear, ReLU          4096
fc 8        linear                             classes
==========  =================================  ============  ===========

Left out of 2012: two towers for two processors (groups), local response normalisation (section 3.3)
and its initialisation (section 5). ReLU (section 3.1), overlapping pooling (3.4) and dropout
(4.2) are as they were. 61,100,840 weights with 1000 classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AlexNet(nn.Module):
    """AlexNet: maps images, (N, in_channels, H, W), to logits, (N, num_classes).

    Parameters
    ----------
    num_classes : int
    dropout : float
        Chance that an input of fc 6 and of fc 7 is left out in training.
    in_channels : int
    small : bool
        The form for images of 21 to 64 pixels a side: conv 1 steps by 1 instead of 4, and the
        last maps are averaged into one linear layer. The filters have the same names and shapes.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        dropout: float = 0.5,
        *,
        in_channels: int = 3,
        small: bool = False,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 64, kernel_size=11, stride=1 if small else 4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1) if small else (6, 6))
        self.head_names = ("classifier",) if small else ("classifier.6",)
        self.classifier: nn.Module
        if small:
            self.classifier = nn.Linear(256, num_classes)
        else:
            self.classifier = nn.Sequential(
                nn.Dropout(p=dropout),
                nn.Linear(256 * 6 * 6, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(p=dropout),
                nn.Linear(4096, 4096),
                nn.ReLU(inplace=True),
                nn.Linear(4096, num_classes),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits of images that are standardised by channel."""
        x = self.avgpool(self.features(x))
        logits: Tensor = self.classifier(torch.flatten(x, 1))
        return logits


def alexnet(
    num_classes: int = 1000, in_channels: int = 3, *, small: bool = False, dropout: float = 0.5
) -> AlexNet:
    """Build AlexNet of 2014, for one device."""
    return AlexNet(num_classes, dropout, in_channels=in_channels, small=small)
