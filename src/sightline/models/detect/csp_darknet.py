r"""Build CSPDarknet, the backbone of YOLOX, and the blocks that its neck is made of, too.

Darknet halves the image five times and widens it each time (Redmon & Farhadi, YOLOv3, 2018). In a
*cross-stage partial* block (Wang et al., CSPNet, 2020, section 3.1) half of the channels go through
a row of residual units and the other half past it,

.. math:: y = W_3 [F(W_1 x), W_2 x]

which costs half as much and gives the gradient a short way. Every convolution is followed by batch
normalisation and SiLU, :math:`x \sigma(x)`. The last stage looks at four fields of view at once
(spatial pyramid pooling, He et al., 2014): its map beside itself pooled over 5, 9 and 13 places.

Layers are called as in YOLOX's own code (Ge et al., 2021; Apache-2.0), so that its published
weights fit; the code is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

EPSILON, MOMENTUM = 1e-3, 0.03
"""Of batch normalisation, as YOLOX was trained."""


class Unit(nn.Module):
    """A convolution without bias, batch normalisation and SiLU.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    kernel, stride : int
        The side becomes ceil(side / stride).
    groups : int
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(outputs, EPSILON, MOMENTUM)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Compute maps (N, C, H, W)."""
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y


class LightUnit(nn.Module):
    """A unit in two: each channel filtered alone, then mixed; of the smallest form."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.dconv = Unit(inputs, inputs, kernel, stride, groups=inputs)
        self.pconv = Unit(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Compute maps (N, C, H, W)."""
        y: Tensor = self.pconv(self.dconv(x))
        return y


class Bottleneck(nn.Module):
    """A 1 x 1 and a 3 x 3 unit, and, unless it is told otherwise, the input added."""

    def __init__(self, channels: int, added: bool, light: bool) -> None:
        super().__init__()
        self.conv1 = Unit(channels, channels, 1)
        self.conv2 = wide_unit(light)(channels, channels, 3)
        self.added = added

    def forward(self, x: Tensor) -> Tensor:
        """Compute maps (N, C, H, W)."""
        y: Tensor = self.conv2(self.conv1(x))
        return x + y if self.added else y


class PartialBlock(nn.Module):
    """A cross-stage partial block; see this module's first lines.

    Parameters
    ----------
    inputs, outputs : int
    depth : int
        Bottlenecks in a row.
    added : bool
        Whether each adds its input.
    light : bool
        Whether 3 x 3 units are light ones.
    """

    def __init__(
        self, inputs: int, outputs: int, depth: int, added: bool = True, light: bool = False
    ) -> None:
        super().__init__()
        half = outputs // 2
        self.conv1, self.conv2 = Unit(inputs, half, 1), Unit(inputs, half, 1)
        self.conv3 = Unit(2 * half, outputs, 1)
        self.m = nn.Sequential(*(Bottleneck(half, added, light) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        """Compute maps (N, C, H, W)."""
        y: Tensor = self.conv3(torch.cat((self.m(self.conv1(x)), self.conv2(x)), 1))
        return y


class PooledPyramid(nn.Module):
    """Spatial pyramid pooling of a map: beside itself its maxima over 5, 9 and 13 places."""

    def __init__(self, channels: int, sides: Sequence[int] = (5, 9, 13)) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = Unit(channels, half, 1)
        self.m = nn.ModuleList(nn.MaxPool2d(side, 1, side // 2) for side in sides)
        self.conv2 = Unit(half * (1 + len(sides)), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Compute maps (N, C, H, W)."""
        x = self.conv1(x)
        y: Tensor = self.conv2(torch.cat((x, *(pool(x) for pool in self.m)), 1))
        return y


class Focus(nn.Module):
    """Make of each 2 x 2 pixels one place with four times the channels, then a unit.

    The pixels come in the order upper left, lower left, upper right, lower right.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Unit(4 * inputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Compute maps (N, outputs, H / 2, W / 2); H and W must be even."""
        corners = [x[..., i::2, j::2] for j in (0, 1) for i in (0, 1)]
        y: Tensor = self.conv(torch.cat(corners, 1))
        return y


class CSPDarknet(nn.Module):
    """The backbone: images (N, C, H, W), sides multiples of 32, to maps of strides 8, 16 and 32.

    Parameters
    ----------
    depth, width : float
        Factors of the number of bottlenecks, 3 and 9 a stage, and of the channels, 64 to 1,024.
    in_channels : int
    light : bool
    """

    def __init__(
        self, depth: float, width: float, in_channels: int = 3, light: bool = False
    ) -> None:
        super().__init__()
        base, few = int(64 * width), max(round(3 * depth), 1)
        self.stem = Focus(in_channels, base)
        self.dark2 = self._stage(base, 2 * base, few, light)
        self.dark3 = self._stage(2 * base, 4 * base, 3 * few, light)
        self.dark4 = self._stage(4 * base, 8 * base, 3 * few, light)
        self.dark5 = nn.Sequential(
            wide_unit(light)(8 * base, 16 * base, 3, 2),
            PooledPyramid(16 * base),
            PartialBlock(16 * base, 16 * base, few, added=False, light=light),
        )
        self.out_channels = (4 * base, 8 * base, 16 * base)

    @staticmethod
    def _stage(inputs: int, outputs: int, depth: int, light: bool) -> nn.Sequential:
        return nn.Sequential(
            wide_unit(light)(inputs, outputs, 3, 2),
            PartialBlock(outputs, outputs, depth, light=light),
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the three maps, finest first."""
        fine = self.dark3(self.dark2(self.stem(x)))
        middle = self.dark4(fine)
        return [fine, middle, self.dark5(middle)]


def wide_unit(light: bool) -> type[LightUnit] | partial[Unit]:
    """Return what makes a unit of more than 1 x 1: a light one, or a plain one."""
    return LightUnit if light else partial(Unit)
