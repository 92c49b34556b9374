"""Define what networks that make pictures have in common, and the layers that two of them share."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from sightline.errors import DataError, ParameterError

Run = Callable[..., Any]
"""The network itself as the training loop has wrapped it: its ``forward``."""


class Generative(nn.Module):
    """A network that makes pictures of noise.

    Attributes
    ----------
    pixels : (float, float)
        Mean and deviation that pixels of [0, 1] are standardised by before the network sees them;
        what it makes is turned back by them.
    latent : tuple of int
        Shape of the noise of one picture, of independent standard normal numbers.
    classes : int
        Classes that it can be asked for; 0: it knows none.
    head_names : tuple of str
        Empty: no layer belongs to classes alone.
    learns_by_heart : bool
        Whether the loss of one batch can fall to nothing.
    """

    pixels: tuple[float, float] = (0.0, 1.0)
    latent: tuple[int, ...]
    classes: int
    head_names: tuple[str, ...] = ()
    learns_by_heart: bool = False

    def objective(self, run: Run, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each picture, shape (N,).

        Parameters
        ----------
        run : callable
            This network's ``forward``, as the training loop has wrapped it.
        x : Tensor, shape (N, C, H, W)
            Standardised pictures.
        y : int64 Tensor, shape (N,)
            Classes; not looked at where `classes` is 0.
        """
        raise NotImplementedError

    def draw(self, noise: Tensor, y: Tensor, **how: Any) -> Tensor:
        """Make pictures, standardised as those it learned from, of noise (N, *latent)."""
        raise NotImplementedError

    def encode(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the noise that `draw` would make pictures of that are like these."""
        raise NotImplementedError

    @torch.no_grad()
    def settle(self, x: Tensor) -> None:
        """Take from training pictures, (N, C, H, W), what is known only after the training."""

    def hot(self, y: Tensor) -> Tensor:
        """Return classes as vectors, shape (N, classes), with a one each.

        The number behind the last class stands for one that is not known: its vector is 0.
        """
        if not self.classes:
            return torch.zeros(len(y), 0, device=y.device)
        return torch.eye(self.classes + 1, device=y.device)[y][:, : self.classes]


def halvings(side: tuple[int, int], least: int = 7) -> int:
    """Return how often the sides of pictures are halved until the smaller is at most `least`.

    Examples
    --------
    >>> [halvings((side, side)) for side in (8, 28, 32, 64)]
    [1, 2, 3, 4]
    """
    times, small = 0, min(side)
    while small > least:
        times, small = times + 1, -(-small // 2)
    return max(times, 1)


class Encoder(nn.Module):
    """Map pictures (N, C, H, W) and classes (N, classes) to features (N, `features`).

    Parameters
    ----------
    in_channels : int
    side : (height, width)
    form : {"dense", "convolutional"}
        Two layers of `width` units; or 3 x 3 convolutions of stride 2 with `width`, 2 `width` ...
        filters, and a dense layer.
    width, classes : int
    """

    def __init__(
        self, in_channels: int, side: tuple[int, int], form: str, width: int, classes: int
    ) -> None:
        super().__init__()
        check_form(form)
        self.maps: nn.Module = nn.Flatten()
        size = in_channels * side[0] * side[1]
        if form == "dense":
            self.features = width
            self.dense = nn.Sequential(
                nn.Linear(size + classes, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
            )
            return
        times = halvings(side)
        widths = [in_channels, *(width * min(2**i, 4) for i in range(times))]
        convolutions: list[nn.Module] = []
        for a, b in pairwise(widths):
            convolutions += [nn.Conv2d(a, b, 3, 2, 1), nn.ReLU()]
        self.maps = nn.Sequential(*convolutions, nn.Flatten())
        small = [-(-s // 2**times) for s in side]
        self.features = 8 * width
        self.dense = nn.Sequential(
            nn.Linear(widths[-1] * small[0] * small[1] + classes, self.features), nn.ReLU()
        )

    def forward(self, x: Tensor, hot: Tensor) -> Tensor:
        """Compute the features of pictures."""
        features: Tensor = self.dense(torch.cat([self.maps(x), hot], 1))
        return features


class Decoder(nn.Module):
    """Map codes (N, latent) and classes (N, classes) to pictures (N, C, H, W), not yet bounded.

    The mirror image of `Encoder`: maps are doubled in size and convolved, which leaves no
    chequerboard (Odena et al., Deconvolution and checkerboard artifacts, 2016).
    """

    def __init__(
        self, latent: int, in_channels: int, side: tuple[int, int], form: str, width: int,
        classes: int,
    ) -> None:  # fmt: skip
        super().__init__()
        check_form(form)
        self.side = side
        if form == "dense":
            self.dense = nn.Sequential(
                nn.Linear(latent + classes, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
                nn.Linear(width, in_channels * side[0] * side[1]),
                nn.Unflatten(1, (in_channels, *side)),
            )  # fmt: skip
            self.maps: nn.Module = nn.Identity()
            return
        times = halvings(side)
        widths = [width * min(2**i, 4) for i in reversed(range(times))]
        small = (-(-side[0] // 2**times), -(-side[1] // 2**times))
        self.dense = nn.Sequential(
            nn.Linear(latent + classes, 8 * width), nn.ReLU(),
            nn.Linear(8 * width, widths[0] * small[0] * small[1]), nn.ReLU(),
            nn.Unflatten(1, (widths[0], *small)),
        )  # fmt: skip
        convolutions: list[nn.Module] = []
        for a, b in pairwise(widths):
            convolutions += [nn.Upsample(scale_factor=2), nn.Conv2d(a, b, 3, 1, 1), nn.ReLU()]
        convolutions += [nn.Upsample(scale_factor=2), nn.Conv2d(widths[-1], in_channels, 3, 1, 1)]
        self.maps = nn.Sequential(*convolutions)

    def forward(self, z: Tensor, hot: Tensor) -> Tensor:
        """Compute pictures of codes."""
        out: Tensor = self.maps(self.dense(torch.cat([z, hot], 1)))
        return out[:, :, : self.side[0], : self.side[1]]


def check_form(form: str) -> None:
    """Refuse a form that is none of the two.

    Raises
    ------
    ParameterError
    """
    if form not in ("dense", "convolutional"):
        raise ParameterError(f"form must be dense or convolutional, not {form!r}")


def check_side(side: tuple[int, int], least: int, name: str) -> None:
    """Refuse pictures that are too small for an architecture.

    Raises
    ------
    DataError
    """
    if min(side) < least:
        raise DataError(
            f"{name} needs images of at least {least} pixels a side, not {min(side)}; scale them "
            f"up with size={least}"
        )
