r"""Make pictures by a rectified flow: move noise along straight lines to pictures.

Liu, Gong & Liu, Flow straight and fast: learning to generate and transfer data with rectified
flow, 2023. With noise :math:`x_0 \sim N(0, I)`, a picture :math:`x_1` and a time t in [0, 1]

.. math:: x_t = (1 - t)\, x_0 + t\, x_1, \qquad
          \min_v E\, \lVert (x_1 - x_0) - v(x_t, t) \rVert^2 \quad \text{(equation 1)}

so that the network v learns :math:`E[x_1 - x_0 \mid x_t]`, and the ordinary differential equation
:math:`dx = v(x, t)\,dt`, followed from t = 0 to 1, turns noise into pictures of the data. It can be
followed backwards, too: then it gives the noise of a picture.

A class goes in as a vector beside the time; in a tenth of the pictures it is left out, so that one
network knows both, and an answer can be pushed towards its class (Ho & Salimans, Classifier-free
diffusion guidance, 2022, equation 6, in terms of velocities):

.. math:: \tilde v(x, t, y) = v(x, t) + w\, (v(x, t, y) - v(x, t))

w = 1 is the class alone, more is surer and less varied. The network is a small U-Net (Ronneberger
et al., 2015; Ho et al., Denoising diffusion probabilistic models, 2020, appendix B): residual
blocks with group normalisation, scaled and shifted by the time and class (Perez et al., FiLM,
2018), at two sizes. Pictures from 16 pixels a side on are folded first, 2 x 2 pixels into channels,
which saves three quarters of the work.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from sightline.errors import ParameterError
from sightline.models.generate.network import Generative, Run, check_side

Sampler = Literal["euler", "heun"]
Velocity = Callable[[Tensor, float], Tensor]
"""Gives the velocities of points, of their shape, at a time."""

Watch = Callable[[float, Tensor], None]
"""Called with the time and the points there, on the way."""

LEFT_OUT = 0.1
"""Share of the pictures that are learned from without their class."""


def path(x0: Tensor, x1: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Return the points x_t at times t, shape (N,), on lines from x0 to x1, and their velocity."""
    t = t.view(-1, *[1] * (x1.ndim - 1))
    return (1 - t) * x0 + t * x1, x1 - x0


def integrate(
    velocity: Velocity, x: Tensor, steps: int, sampler: Sampler = "heun", *,
    start: float = 0.0, end: float = 1.0, watch: Watch | None = None,
) -> Tensor:  # fmt: skip
    """Solve dx = v(x, t) dt in equal steps.

    Parameters
    ----------
    velocity : callable
    x : Tensor
        Where it starts.
    steps : int
    sampler : {"euler", "heun"}
        Euler: x + h v(x, t), an error of order h. Heun: the mean of the velocities at both ends of
        Euler's step, an error of order h^2, for twice the work.
    start, end : float
        Times; from 1 to 0 it is followed backwards.
    watch : callable, optional

    Raises
    ------
    ParameterError
        When there is no such sampler, or there are no steps.
    """
    if sampler not in ("euler", "heun"):
        raise ParameterError(f"sampler must be euler or heun, not {sampler!r}")
    if not 1 <= steps <= 10_000:
        raise ParameterError(f"steps must be from 1 to 10,000, not {steps}")
    h = (end - start) / steps
    for i in range(steps):
        t = start + i * h
        v = velocity(x, t)
        if sampler == "heun":
            v = (v + velocity(x + h * v, t + h)) / 2
        x = x + h * v
        if watch:
            watch(t + h, x)
    return x


class Block(nn.Module):
    """Add two convolutions to maps, the second scaled and shifted by an embedding."""

    def __init__(self, a: int, b: int, embedded: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, a), nn.Conv2d(a, b, 3, 1, 1)
        self.film = nn.Linear(embedded, 2 * b)
        self.norm2, self.conv2 = nn.GroupNorm(8, b), nn.Conv2d(b, b, 3, 1, 1)
        self.skip = nn.Conv2d(a, b, 1) if a != b else nn.Identity()
        nn.init.zeros_(self.conv2.weight)  # at first each block changes nothing
        nn.init.zeros_(self.film.weight)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Compute maps (N, b, h, w) of maps (N, a, h, w)."""
        out = self.conv1(functional.silu(self.norm1(x)))
        scale, shift = self.film(embedding)[:, :, None, None].chunk(2, 1)
        out = self.conv2(functional.silu(self.norm2(out) * (1 + scale) + shift))
        total: Tensor = self.skip(x) + out
        return total


class Flow(Generative):
    """Flow: maps points (N, C, H, W), times (N,) and classes (N,) to velocities (N, C, H, W).

    Parameters
    ----------
    num_classes : int
        0: it knows no classes. Class `num_classes` stands for none.
    in_channels : int
    side : (height, width)
    width : int
        Filters at the larger of the two sizes, a multiple of 8; twice as many at the smaller.
    """

    pixels = (0.5, 0.5)

    def __init__(
        self, num_classes: int = 0, in_channels: int = 1, side: tuple[int, int] = (28, 28),
        width: int = 32,
    ) -> None:  # fmt: skip
        super().__init__()
        if width < 8 or width % 8:
            raise ParameterError(f"width must be a multiple of 8, not {width}")
        check_side(side, 4, "flow")
        self.classes, self.latent, self.fold = num_classes, (in_channels, *side), 1
        if min(side) >= 16:
            self.fold = 2 if min(side) < 64 else 4
        folded, embedded = in_channels * self.fold**2, 4 * width
        self.frequencies = width
        self.time = nn.Sequential(
            nn.Linear(2 * width, embedded), nn.SiLU(), nn.Linear(embedded, embedded)
        )
        self.label = nn.Embedding(num_classes + 1, embedded)
        self.into = nn.Conv2d(folded, width, 3, 1, 1)
        self.down1 = Block(width, width, embedded)
        self.downsample = nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.down2 = Block(2 * width, 2 * width, embedded)
        self.middle = Block(2 * width, 2 * width, embedded)
        self.up2 = Block(4 * width, 2 * width, embedded)
        self.upsample = nn.Conv2d(2 * width, width, 3, 1, 1)
        self.up1 = Block(2 * width, width, embedded)
        self.out = nn.Sequential(
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, folded, 3, 1, 1)
        )
        nn.init.zeros_(list(self.out.parameters())[2])

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Compute velocities."""
        angles = 1000 * t[:, None] * torch.exp(
            torch.arange(self.frequencies, device=x.device)
            * (-math.log(10_000) / self.frequencies)
        )  # fmt: skip
        waves = torch.cat([angles.sin(), angles.cos()], 1)
        embedding = functional.silu(self.time(waves) + self.label(y))
        height, width = x.shape[2:]
        whole = 2 * self.fold
        odd = (-height % whole, -width % whole)
        padded = functional.pad(x, (0, odd[1], 0, odd[0])) if any(odd) else x
        first = self.down1(self.into(functional.pixel_unshuffle(padded, self.fold)), embedding)
        second = self.down2(self.downsample(first), embedding)
        out = self.middle(second, embedding)
        out = self.up2(torch.cat([out, second], 1), embedding)
        out = self.upsample(functional.interpolate(out, scale_factor=2.0))
        out = self.up1(torch.cat([out, first], 1), embedding)
        return functional.pixel_shuffle(self.out(out), self.fold)[:, :, :height, :width]

    def objective(self, run: Run, x: Tensor, y: Tensor) -> Tensor:
        """Return the squared error of each picture's velocity at a random time (equation 1)."""
        t = torch.rand(len(x)).to(x.device)
        points, aim = path(torch.randn(x.shape).to(x.device), x, t)
        left_out = (torch.rand(len(x)) < LEFT_OUT).to(x.device)
        labels = torch.where(left_out, self.classes, y) if self.classes else y * 0
        velocity: Tensor = run(points, t, labels)
        return (velocity.float() - aim).square().flatten(1).mean(1)

    def velocity(self, y: Tensor, guidance: float = 1.0) -> Velocity:
        """Return the velocity towards classes y, shape (N,), as a function of points and a time."""

        def of(x: Tensor, t: float) -> Tensor:
            times = torch.full((len(x),), t, device=x.device)
            if not self.classes or guidance == 1:
                own: Tensor = self(x, times, y if self.classes else y * 0)
                return own
            none = torch.full_like(y, self.classes)
            both = self(torch.cat([x, x]), torch.cat([times, times]), torch.cat([y, none]))
            towards, plain = both.chunk(2)
            return torch.lerp(plain, towards, guidance)

        return of

    def draw(
        self, noise: Tensor, y: Tensor, *, steps: int = 10, sampler: Sampler = "heun",
        guidance: float = 1.5, watch: Watch | None = None, **how: Any,
    ) -> Tensor:  # fmt: skip
        """Make pictures of classes y by the flow from noise (N, C, H, W)."""
        return integrate(self.velocity(y, guidance), noise, steps, sampler, watch=watch)

    def encode(self, x: Tensor, y: Tensor, *, steps: int = 10) -> Tensor:
        """Return the noise of pictures by the flow backwards, without guidance."""
        return integrate(self.velocity(y), x, steps, "heun", start=1.0, end=0.0)


def flow(
    num_classes: int = 0, in_channels: int = 1, side: tuple[int, int] = (28, 28), width: int = 32
) -> Flow:
    """Build a rectified flow."""
    return Flow(num_classes, in_channels, side, width)
