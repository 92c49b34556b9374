"""Squeeze pictures through a narrow code and compare them with what comes back.

A network that has learned to give back good pictures fails where something was never there (P.
Bergmann et al., Improving unsupervised defect segmentation by applying structural similarity to
autoencoders, 2019: the form with squared errors).
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn

HALVINGS = 4
"""Times that the encoder halves an image."""


class Autoencoder(nn.Module):
    """An encoder of strided convolutions, a code of few channels, and its mirror image.

    Parameters
    ----------
    in_channels : int
    width : int
        Channels of the first layer; they double at each halving, up to four times as many.
    code : int
        Channels of the code, whose maps have a sixteenth of the sides.
    """

    def __init__(self, in_channels: int, width: int, code: int) -> None:
        super().__init__()
        widths = [in_channels, *(min(width << i, 4 * width) for i in range(HALVINGS))]
        down: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            down += [nn.Conv2d(before, after, 4, 2, 1, bias=False), *_shaped(after)]
        self.encoder = nn.Sequential(*down, nn.Conv2d(widths[-1], code, 1))
        up: list[nn.Module] = [nn.Conv2d(code, widths[-1], 1, bias=False), *_shaped(widths[-1])]
        for before, after in zip(widths[:0:-1], [*widths[-2:0:-1], width], strict=True):
            up += [
                nn.Upsample(scale_factor=2.0, mode="nearest"),
                nn.Conv2d(before, after, 3, padding=1, bias=False), *_shaped(after),
            ]  # fmt: skip
        self.decoder = nn.Sequential(*up, nn.Conv2d(width, in_channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Compute standardised images (N, C, H, W) anew; their sides are multiples of 16."""
        back: Tensor = self.decoder(self.encoder(x))
        return back


def _shaped(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(channels), nn.LeakyReLU(0.2, inplace=True)


def autoencoder(
    num_classes: int, in_channels: int = 3, width: int = 16, code: int = 16
) -> Autoencoder:
    """Build an autoencoder.

    Parameters
    ----------
    num_classes : int
        Not looked at.
    in_channels, width, code : int
        See `Autoencoder`.
    """
    return Autoencoder(in_channels, width, code)


def error_map(x: Tensor, back: Tensor, cell: int) -> Tensor:
    """Return the root of the squared error in cells of so many pixels, (N, h, w).

    Parameters
    ----------
    x, back : Tensor, shape (N, C, H, W)
    cell : int
    """
    squared = (x - back).square().mean(1, keepdim=True)
    return nn.functional.avg_pool2d(squared, cell)[:, 0].sqrt()
