"""Make images that a number of a network is large for: activation maximisation.

The image is a spectrum whose low frequencies weigh as much as in photographs, in colours that vary
independently there (Olah, Mordvintsev & Schubert, Feature Visualization, Distill 2017); every step
moves it a little, so that no pattern of single pixels counts (Mordvintsev et al., Inceptionism,
2015), and penalties hold down what is rough (Mahendran & Vedaldi, 2015: total variation).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ParameterError, SightlineError, TrainingError
from sightline.explain.opened import Opened, evaluating
from sightline.types import Progress

if TYPE_CHECKING:
    from torch import Generator, Tensor

COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
"""Square root of the covariance of red, green and blue in photographs (ImageNet's, as Lucid has
it): brightness first, then what colours add."""

DEVIATION = 0.01
"""Of the spectrum's numbers at the start."""

LEAST_SIDE = 16

Number = Callable[["Tensor"], "Tensor"]
"""Of standardised images (N, C, h, w) the numbers to make large, shape (N,)."""


@dataclass(frozen=True, slots=True)
class Ascent:
    """How an image is made.

    Parameters
    ----------
    steps : int
        Of Adam.
    rate : float
        Its learning rate.
    jitter : float
        The image is moved by up to this share of its side at each step, and turned and scaled by
        a little; 0: it stays where it is.
    blur : float
        Weight of what a Gaussian blur takes away.
    variation : float
        Weight of the total variation: the mean difference of neighbouring pixels.
    seed : int
    """

    steps: int = 64
    rate: float = 0.1
    jitter: float = 0.06
    blur: float = 0.5
    variation: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ParameterError(f"steps={self.steps} must be at least 1")
        for name in ("jitter", "blur", "variation"):
            if getattr(self, name) < 0:
                raise ParameterError(f"{name}={getattr(self, name)} must not be negative")


class Spectrum:
    """Images as the numbers of their spectrum.

    Parameters
    ----------
    count, channels : int
    size : (height, width)
    generator : torch.Generator
        Draws the numbers at the start.
    device : torch.device
    """

    def __init__(
        self, count: int, channels: int, size: tuple[int, int], generator: Generator, device: Any
    ) -> None:
        import torch

        height, width = size
        down = torch.fft.fftfreq(height)[:, None]
        along = torch.fft.rfftfreq(width)[None]
        frequency = (down**2 + along**2).sqrt().clamp(min=1 / max(size))
        self.scale = ((height * width) ** 0.5 / frequency).to(device)
        shape = (count, channels, height, width // 2 + 1, 2)
        drawn = torch.randn(shape, generator=generator) * DEVIATION
        self.numbers = drawn.to(device).requires_grad_()
        self.size = size

    def pixels(self) -> Tensor:
        """Return the images, (N, C, h, w), in [0, 1]."""
        import torch

        waves = torch.view_as_complex(self.numbers) * self.scale
        image = torch.fft.irfft2(waves, s=self.size) / 4
        if image.shape[1] == 3:
            mixing = torch.tensor(COLOURS, device=image.device)
            mixing = mixing / torch.linalg.vector_norm(mixing, dim=0).max()
            image = torch.einsum("nchw,dc->ndhw", image, mixing)
        return torch.sigmoid(image)


def maximise(
    opened: Opened, number: Number, count: int, size: tuple[int, int],
    ascent: Ascent | None = None, progress: Progress | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:  # fmt: skip
    """Make images that numbers of a network are large for, from noise.

    Parameters
    ----------
    opened : Opened
    number : callable
        Of standardised images (N, C, h, w) the numbers, shape (N,): the i-th is to be large for
        the i-th image.
    count : int
        Images, made at once.
    size : (height, width)
    ascent : Ascent, optional
    progress : callable, optional
        Called with (steps done, steps in all).

    Returns
    -------
    images : uint8 array, shape (count, h, w, C)
    numbers : float32 array, shape (count,)
        Of the images as they are, unmoved.

    Raises
    ------
    TrainingError
        When a number is not finite.
    """
    import torch

    ascent = ascent or Ascent()
    generator = torch.Generator().manual_seed(ascent.seed)
    low, high = opened.bounds()
    spectrum = Spectrum(count, low.shape[1], size, generator, opened.device)
    adam = torch.optim.Adam([spectrum.numbers], lr=ascent.rate)
    with evaluating(opened.model):
        for step in range(ascent.steps):
            pixels = spectrum.pixels()
            moved = _moved(pixels, ascent.jitter, generator)
            # Channels last: depthwise convolutions are several times as fast backwards.
            x = (low + (high - low) * moved).contiguous(memory_format=torch.channels_last)
            said = number(x)
            rough = ascent.variation * variation(pixels) + ascent.blur * roughness(pixels)
            # Numbers of layers differ in size by orders: the gradient's length is Adam's own.
            loss = (rough * _scale(said) - said).sum()
            if not bool(torch.isfinite(loss)):
                raise TrainingError(
                    f"{opened.name} says numbers that are not finite of a made image (step "
                    f"{step + 1}): its weights are damaged"
                )
            (spectrum.numbers.grad,) = torch.autograd.grad(loss, [spectrum.numbers])
            adam.step()
            if progress:
                progress(step + 1, ascent.steps)
        with torch.no_grad():
            pixels = spectrum.pixels()
            said = number(low + (high - low) * pixels)
    return as_bytes(pixels), said.float().cpu().numpy()


def _scale(said: Tensor) -> Tensor:
    """Return what one unit of roughness weighs: as much as the number itself, held fixed."""
    return said.detach().abs().clamp(min=1e-3)


def size_for(opened: Opened, side: int, number: Callable[[Tensor], Any]) -> tuple[int, int]:
    """Return the size of images to make: square of a side, or the network's own.

    Parameters
    ----------
    opened : Opened
    side : int
        Pixels; the network's own size where that is smaller, or where it takes no other.
    number : callable
        What is to be computed of standardised images (N, C, h, w).

    Raises
    ------
    ParameterError
        When the side is too small, or the network takes not even its own size.
    """
    import torch

    if side < LEAST_SIDE:
        raise ParameterError(f"size={side} must be at least {LEAST_SIDE} pixels")
    own = opened.fitted.size
    low, _ = opened.bounds()
    why = ""
    for size in ((side, side), own) if min(own) > side else (own,):
        try:
            with evaluating(opened.model), torch.no_grad():
                number(torch.zeros(1, low.shape[1], *size, device=opened.device))
        except (RuntimeError, SightlineError) as error:
            why = str(error).splitlines()[0]
            continue
        return size
    raise ParameterError(f"{opened.name} takes no images of {own[1]} x {own[0]} pixels ({why})")


def as_bytes(pixels: Tensor) -> NDArray[np.uint8]:
    """Return images (N, C, h, w) in [0, 1] as bytes (N, h, w, C)."""
    made = (pixels.detach() * 255).round().clamp(0, 255).permute(0, 2, 3, 1)
    return cast("NDArray[np.uint8]", made.cpu().numpy().astype(np.uint8))


def variation(pixels: Tensor) -> Tensor:
    """Compute the total variation of images, a mean over their pixels: shape (N,)."""
    down = (pixels[:, :, 1:] - pixels[:, :, :-1]).abs().mean((1, 2, 3))
    along = (pixels[:, :, :, 1:] - pixels[:, :, :, :-1]).abs().mean((1, 2, 3))
    return down + along


def roughness(pixels: Tensor) -> Tensor:
    """Compute the mean square of what a small blur takes away of images: shape (N,)."""
    import torch
    from torch.nn import functional

    line = torch.tensor((0.25, 0.5, 0.25), device=pixels.device)
    kernel = (line[:, None] * line).expand(pixels.shape[1], 1, 3, 3)
    padded = functional.pad(pixels, (1, 1, 1, 1), mode="replicate")
    smooth = functional.conv2d(padded, kernel, groups=pixels.shape[1]).detach()
    return ((pixels - smooth) ** 2).mean((1, 2, 3))


def _moved(pixels: Tensor, jitter: float, generator: Generator) -> Tensor:
    """Move, turn and scale all images alike, at random."""
    import torch
    from torch.nn import functional

    if not jitter:
        return pixels
    draws = (2 * torch.rand(4, generator=generator) - 1).tolist()
    angle, scale = 0.1 * draws[0], 1 + 0.08 * draws[1]
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    matrix = torch.tensor(
        [[cos, -sin, 2 * jitter * draws[2]], [sin, cos, 2 * jitter * draws[3]]],
        dtype=torch.float32, device=pixels.device,
    )  # fmt: skip
    grid = functional.affine_grid(
        matrix.expand(len(pixels), -1, -1), list(pixels.shape), align_corners=False
    )
    return functional.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
