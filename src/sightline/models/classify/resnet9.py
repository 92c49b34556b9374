r"""Build a small residual-era net for 32 x 32 images, in the form that trains fastest.

The line of CIFAR-10 speed records began with a nine-layer residual network (Page, How to train
your ResNet, 2019) and led to a plain one (Jordan, 94% on CIFAR-10 in 3.29 seconds on a single
GPU, 2024, section 3): a first convolution that whitens 2 x 2 patches and is not learned, three
blocks of two convolutions, and no scale in the batch normalisations. Its convolutions start as
the identity as far as they can, which is what the skip connections were for.

=========  ==========================================  ============
layer      operation                                   output
=========  ==========================================  ============
whitening  2 x 2 convolution, bias, GELU               24 x 31 x 31
block 1    3 x 3, max pool 2, BN, GELU; 3 x 3, BN, GELU   64 x 15 x 15
block 2    the same                                    256 x 7 x 7
block 3    the same                                    256 x 3 x 3
head       max pool 3, linear, divided by 9            classes
=========  ==========================================  ============

Whitening: with patches :math:`p` of covariance :math:`\Sigma = V \Lambda V^T`, the filters
:math:`\pm \Lambda^{-1/2} V^T` give outputs of unit variance and no correlation (section 3.2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTHS = (64, 256, 256)


class ResNet9(nn.Module):
    """ResNet-9: maps images, (N, in_channels, 32, 32), to logits, (N, num_classes).

    Parameters
    ----------
    num_classes : int
    in_channels : int
    widths : tuple of int
        Channels of the three blocks.
    scale : float
        Factor of the logits.
    """

    head_names = ("fc",)

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        widths: tuple[int, int, int] = WIDTHS,
        scale: float = 1 / 9,
    ) -> None:
        super().__init__()
        patch = 4 * in_channels
        self.scale = scale
        self.whiten = nn.Conv2d(in_channels, 2 * patch, 2)
        self.whiten.weight.requires_grad = False
        self.act = nn.GELU()
        self.block1 = Block(2 * patch, widths[0])
        self.block2 = Block(widths[0], widths[1])
        self.block3 = Block(widths[1], widths[2])
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.fc = nn.Linear(widths[2], num_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits of images that are standardised by channel."""
        x = self.act(self.whiten(x))
        x = self.block3(self.block2(self.block1(x)))
        logits: Tensor = self.fc(self.pool(x).flatten(1)) * self.scale
        return logits

    @torch.no_grad()
    def prepare(self, images: Tensor, epsilon: float = 5e-4) -> None:
        """Set the whitening filters from training images, shape (N, C, H, W).

        Called once, before training.
        """
        channels, size = self.whiten.in_channels, 2
        patches = images.unfold(2, size, 1).unfold(3, size, 1)
        patches = patches.transpose(1, 3).reshape(-1, channels * size * size)
        values, vectors = torch.linalg.eigh(patches.T.double() @ patches.double() / len(patches))
        filters = (vectors / torch.sqrt(values + epsilon)).T.flip(0)
        filters = filters.reshape(-1, channels, size, size).to(self.whiten.weight.dtype)
        self.whiten.weight.copy_(torch.cat([filters, -filters]))


class Block(nn.Module):
    """Two 3 x 3 convolutions, the first one pooled to half the side."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv(in_channels, channels)
        self.pool = nn.MaxPool2d(2)
        self.norm1 = norm(channels)
        self.conv2 = Conv(channels, channels)
        self.norm2 = norm(channels)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, channels, H // 2, W // 2)."""
        x = self.act(self.norm1(self.pool(self.conv1(x))))
        out: Tensor = self.act(self.norm2(self.conv2(x)))
        return out


class Conv(nn.Conv2d):
    """A 3 x 3 convolution whose first filters start as the identity (section 3.3)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(in_channels, channels, 3, padding=1, bias=False)

    def reset_parameters(self) -> None:
        """Draw as PyTorch does, then make the first filters pass one channel each."""
        super().reset_parameters()
        nn.init.dirac_(self.weight.data[: self.in_channels])


def norm(channels: int) -> nn.BatchNorm2d:
    """Make a batch normalisation whose scale stays 1: the next layer can scale as well."""
    layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad = False
    return layer


def resnet9(num_classes: int = 10, in_channels: int = 3) -> ResNet9:
    """Build the network as published: 64, 256 and 256 channels."""
    return ResNet9(num_classes, in_channels)
