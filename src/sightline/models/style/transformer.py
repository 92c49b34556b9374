"""Draw any picture in one style by a single pass of a network.

Johnson, Alahi & Fei-Fei, Perceptual losses for real-time style transfer and super-resolution, 2016:
a network learns to lower the loss that `optimise` lowers pixel by pixel, for all pictures at once.
The architecture is that of the paper's supplement, table 1, with what was found since:

- instance normalisation in the place of batch normalisation (Ulyanov et al., Instance
  normalization: the missing ingredient for fast stylization, 2016);
- enlarging by the nearest pixel and then a convolution, in the place of a transposed convolution,
  which leaves checkerboards (Odena et al., Deconvolution and checkerboard artifacts, 2016);
- padding by reflection in every convolution, so that nothing is cut off.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

RESIDUAL_BLOCKS = 5


def convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """Build a convolution with padding by reflection, and instance normalisation behind it."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, padding_mode="reflect"),
        nn.InstanceNorm2d(outputs, affine=True),
    )


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside an identity (supplement, figure 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(channels, channels, 3), nn.ReLU(), convolution(channels, channels, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block's output, of the shape of its input."""
        return cast(Tensor, x + self.body(x))


class FastStyle(nn.Module):
    """The image transformation network.

    Parameters
    ----------
    width : int
        Channels of the first layer; 32 in the paper.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        w = width
        self.down = nn.Sequential(
            convolution(3, w, 9), nn.ReLU(),
            convolution(w, 2 * w, 3, 2), nn.ReLU(),
            convolution(2 * w, 4 * w, 3, 2), nn.ReLU(),
        )  # fmt: skip
        self.blocks = nn.Sequential(*(Residual(4 * w) for _ in range(RESIDUAL_BLOCKS)))
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2), convolution(4 * w, 2 * w, 3), nn.ReLU(),
            nn.Upsample(scale_factor=2), convolution(2 * w, w, 3), nn.ReLU(),
        )  # fmt: skip
        self.last = nn.Conv2d(w, 3, 9, padding=4, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        """Draw pictures.

        Parameters
        ----------
        x : Tensor, shape (N, 3, H, W)
            Standardised; H and W at least 16.

        Returns
        -------
        Tensor, shape (N, 3, H, W)
            In [0, 1], by a scaled tanh.
        """
        height, width = x.shape[2:]
        drawn = self.up(self.blocks(self.down(x)))[:, :, :height, :width]
        return cast(Tensor, self.last(drawn).tanh() * 0.5 + 0.5)


def fast_style(num_classes: int = 0, *, width: int = 32) -> FastStyle:
    """Build the network of the paper: 1.7 million weights.

    Parameters
    ----------
    num_classes : int
        Not looked at: a picture has no class here.
    width : int
        Channels of the first layer.
    """
    return FastStyle(width)
