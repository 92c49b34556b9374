r"""Build a multilayer perceptron: every pixel to every unit.

Rumelhart, Hinton & Williams, Learning representations by back-propagating errors, Nature 1986:

.. math:: a_0 = x, \quad a_l = \max(0, W_l a_{l-1} + b_l), \quad z = W_L a_{L-1} + b_L

with logits :math:`z`. It does not know which pixels are neighbours: the same permutation of all
images' pixels changes nothing. Dropout (Srivastava et al., 2014, section 4) leaves out each hidden
unit with some chance in training, so that none can rely on one other. With 28 x 28 grey pixels
and two hidden layers of 512 units: 669,706 weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn


class MLP(nn.Module):
    """MLP: maps images, (N, in_channels, H, W), to logits, (N, num_classes).

    Parameters
    ----------
    num_classes : int
    in_channels : int
    side : (height, width)
        Of the images, pixels.
    hidden : sequence of int
        Units of the hidden layers.
    dropout : float
        Chance that a hidden unit is left out in training.
    """

    head_names = ("fc",)

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        side: tuple[int, int] = (28, 28),
        hidden: Sequence[int] = (512, 512),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        widths = (in_channels * side[0] * side[1], *hidden)
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers)
        self.fc = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits of images that are standardised by channel."""
        logits: Tensor = self.fc(self.layers(x))
        return logits


def mlp(num_classes: int = 10, in_channels: int = 1, side: tuple[int, int] = (28, 28)) -> MLP:
    """Build a perceptron of two hidden layers of 512 units."""
    return MLP(num_classes, in_channels, side)
