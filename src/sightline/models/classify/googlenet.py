r"""Build GoogLeNet: filters of several sizes side by side.

Szegedy et al., Going deeper with convolutions, CVPR 2015. Which size of filter is best? An
inception module (figure 2b) has them all, and 1 x 1 convolutions before the large ones make
that affordable: GoogLeNet has 12 times fewer weights than AlexNet of 2012 and errs less. Table 1
of the paper, with the side at 224 pixels and the channels of a module's branches (1 x 1; 3 x 3 and
its reduction; 5 x 5 and its reduction; projection of the pool):

=============  ==================================  ==============
layer          operation                           output
=============  ==================================  ==============
conv 1         7 x 7, stride 2                     64 x 112 x 112
pool           3 x 3 max, stride 2                 64 x 56 x 56
conv 2, 3      1 x 1; 3 x 3                        192 x 56 x 56
pool           3 x 3 max, stride 2                 192 x 28 x 28
inception 3    a, b                                480 x 28 x 28
pool           3 x 3 max, stride 2                 480 x 14 x 14
inception 4    a to e; auxiliary heads at a and d  832 x 14 x 14
pool           2 x 2 max, stride 2                 832 x 7 x 7
inception 5    a, b                                1024 x 7 x 7
head           average, dropout, linear            classes
=============  ==================================  ==============

Two auxiliary heads put the loss, with weight 0.3, where the gradient would be weak (section 5);
they serve in training only. Where this form, which is torchvision's, is not the paper's: batch
normalisation for local response normalisation; 3 x 3 filters where the paper has 5 x 5 (the
weights that torchvision ported have them); the last pool is 2 x 2; dropout is 0.2 where the text
says 0.4. 13,004,888 weights with 1000 classes; 6,624,904 without the auxiliary heads.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, relu


class GoogLeNetOutputs(NamedTuple):
    """The outputs of GoogLeNet in training: logits, each of shape (N, num_classes)."""

    logits: Tensor
    aux_logits2: Tensor | None
    aux_logits1: Tensor | None


class BasicConv2d(nn.Module):
    """A convolution with batch normalisation and ReLU."""

    def __init__(
        self, inputs: int, outputs: int, *, kernel_size: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel_size, stride=stride, padding=padding, bias=False
        )
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H', W')."""
        return relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """An inception module: four branches side by side (figure 2b).

    Maps (N, inputs, H, W) to (N, one + three + five + pool, H, W).

    Parameters
    ----------
    inputs : int
    one : int
        Channels of the 1 x 1 branch.
    reduce3, three : int
        Of the 3 x 3 branch: of its reduction, and at its end.
    reduce5, five : int
        Of the branch that is 5 x 5 in the paper.
    pool : int
        Of the projection after pooling.
    """

    def __init__(
        self, inputs: int, one: int, reduce3: int, three: int, reduce5: int, five: int, pool: int
    ) -> None:
        super().__init__()
        self.branch1 = BasicConv2d(inputs, one, kernel_size=1)
        self.branch2 = nn.Sequential(
            BasicConv2d(inputs, reduce3, kernel_size=1),
            BasicConv2d(reduce3, three, kernel_size=3, padding=1),
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(inputs, reduce5, kernel_size=1),
            BasicConv2d(reduce5, five, kernel_size=3, padding=1),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True),
            BasicConv2d(inputs, pool, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Concatenate the branches along the channels."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """An auxiliary head (section 5); maps (N, inputs, H, W) to (N, num_classes)."""

    def __init__(self, inputs: int, num_classes: int, dropout: float = 0.7) -> None:
        super().__init__()
        self.conv = BasicConv2d(inputs, 128, kernel_size=1)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(p=dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits from feature maps of the middle."""
        x = torch.flatten(self.conv(adaptive_avg_pool2d(x, (4, 4))), 1)
        logits: Tensor = self.fc2(self.dropout(relu(self.fc1(x), inplace=True)))
        return logits


class GoogLeNet(nn.Module):
    """GoogLeNet: maps images, (N, in_channels, H, W), to logits, (N, num_classes).

    In training it gives `GoogLeNetOutputs`, the logits of the auxiliary heads too.

    Parameters
    ----------
    num_classes : int
    aux_logits : bool
        Have the auxiliary heads.
    transform_input : bool
        Take images that are standardised with ImageNet's mean and deviation, and standardise
        them with 0.5 and 0.5, as the published weights want.
    init_weights : bool
    dropout, dropout_aux : float
        Chance that an input of the head and of an auxiliary one is left out in training.
    in_channels : int
    small : bool
        The form for images of 16 to 64 pixels a side: conv 1 does not step and no pool comes
        after it. Names and shapes of all weights are the same.
    """

    head_names = ("fc",)

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool = True,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
        *,
        in_channels: int = 3,
        small: bool = False,
    ) -> None:
        super().__init__()
        self.transform_input = transform_input
        self.conv1 = BasicConv2d(
            in_channels, 64, kernel_size=7, stride=1 if small else 2, padding=3
        )
        self.maxpool1: nn.Module = (
            nn.Identity() if small else nn.MaxPool2d(3, stride=2, ceil_mode=True)
        )
        self.conv2 = BasicConv2d(64, 64, kernel_size=1)
        self.conv3 = BasicConv2d(64, 192, kernel_size=3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128)
        self.aux1 = InceptionAux(512, num_classes, dropout_aux) if aux_logits else None
        self.aux2 = InceptionAux(528, num_classes, dropout_aux) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(1024, num_classes)
        if init_weights:
            self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        """Compute the logits of images that are standardised by channel."""
        if self.transform_input:
            x = imagenet_to_half(x)
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x = self.inception4a(x)
        aux1 = self.aux1(x) if self.aux1 is not None and self.training else None
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        aux2 = self.aux2(x) if self.aux2 is not None and self.training else None
        x = self.maxpool4(self.inception4e(x))
        x = self.inception5b(self.inception5a(x))
        logits: Tensor = self.fc(self.dropout(torch.flatten(self.avgpool(x), 1)))
        if aux1 is None or aux2 is None:
            return logits
        return GoogLeNetOutputs(logits, aux2, aux1)


def imagenet_to_half(x: Tensor) -> Tensor:
    """Standardise colours, (N, 3, H, W), by 0.5 and 0.5 instead of ImageNet's mean and std."""
    mean = x.new_tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = x.new_tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    return x * (std / 0.5) + (mean - 0.5) / 0.5


def initialise(layer: nn.Module) -> None:
    """Draw weights of deviation 0.01, none beyond 2, as torchvision does."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(layer.weight, mean=0.0, std=0.01, a=-2, b=2)


def googlenet(
    num_classes: int = 1000,
    in_channels: int = 3,
    *,
    small: bool = False,
    aux_logits: bool = True,
    transform_input: bool = False,
    dropout: float = 0.2,
    dropout_aux: float = 0.7,
) -> GoogLeNet:
    """Build GoogLeNet with batch normalisation."""
    return GoogLeNet(
        num_classes, aux_logits, transform_input, dropout=dropout, dropout_aux=dropout_aux,
        in_channels=in_channels, small=small,
    )  # fmt: skip
