"""Show the dreams of a network: what a class is to it, what it sees in a picture, made stronger.

Class visualisation (Simonyan, Vedaldi & Zisserman, Deep inside convolutional networks, 2014) makes
an image from noise that a class's score is large for. DeepDream (Mordvintsev, Olah & Tyka,
Inceptionism, 2015) changes a picture so that a layer answers more to it, from small scales to
large ones (octaves).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import images
from sightline.errors import ParameterError, SightlineError, TrainingError
from sightline.explain.filters import maps_of, spread
from sightline.explain.opened import Opened, evaluating
from sightline.explain.synthesis import Ascent, maximise, size_for
from sightline.types import Progress

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 384
"""Pixels of the longer side that a picture is dreamt at."""

CLASS_SIDE = 160
"""Pixels a side of an image that is made from noise."""

OCTAVES, OCTAVE = 4, 1.4
"""How many scales, and how many times larger each is than the one before."""

STEPS = 12
"""Of each octave."""

CLASS_STEPS = 128

BLURS = (0.7, 1.5, 3.0)
"""Pixels that slopes are blurred by, the sum of which is taken: coarse patterns count as fine ones,
which would otherwise be all that is seen."""

RATE = 0.012
"""Change of a pixel, of [0, 1], on average, in a step."""

LEAST = 32
"""Pixels that the smallest octave has on its shorter side at least."""

ANSWERS = 10
"""Places of a detector whose score of a class is made large."""


@dataclass(frozen=True, slots=True)
class Dream:
    """What a network dreamt.

    Parameters
    ----------
    name : str
        Of the network.
    of : str
        What was made large: a class, or a layer.
    pixels : uint8 array, shape (H, W, C)
    before : uint8 array, shape (H, W, C), or None
        The picture that it began with.
    answers : (float, float)
        The number that was made large, at the beginning and at the end.
    steps, seed : int
    notes : list of str
    """

    name: str
    of: str
    pixels: NDArray[np.uint8]
    before: NDArray[np.uint8] | None
    answers: tuple[float, float]
    steps: int
    seed: int
    notes: list[str]

    def document(self) -> dict[str, Any]:
        """Return what was done, as JSON can hold it."""
        return {
            "network": self.name, "of": self.of, "steps": self.steps, "seed": self.seed,
            "before": self.answers[0], "after": self.answers[1],
            "size": list(self.pixels.shape[:2]), "notes": self.notes,
        }  # fmt: skip


def dream(
    opened: Opened, image: Any = None, *, class_name: str | None = None, layer: str | None = None,
    steps: int | None = None, octaves: int = OCTAVES, side: int | None = None, seed: int = 0,
    progress: Progress | None = None,
) -> Dream:  # fmt: skip
    """Generate an image of a class or of a layer, from noise or from a picture.

    Parameters
    ----------
    opened : Opened
    image : path, PIL image or array, optional
        The picture to begin with; else noise.
    class_name : str, optional
        To make likelier.
    layer : str, optional
        A convolution whose maps are to be large; default, with a picture: one of middle depth.
    steps : int, optional
        Of an image from noise, or of each octave.
    octaves : int
        Scales of a picture.
    side : int, optional
        Pixels of the longer side.
    seed : int
    progress : callable, optional
        Called with (steps done, steps in all).

    Raises
    ------
    UnknownNameError
        When there is no such class or convolution; the nearest is named.
    ParameterError
        When nothing says what to dream of, or an option cannot have its value.
    DataError
        When the picture cannot be read.
    """
    if class_name is not None and layer is not None:
        raise ParameterError("dream of a class or of a layer, not of both")
    if image is None and class_name is None and layer is None:
        raise ParameterError("name what to dream of: a picture, a class or a layer")
    if class_name is not None:
        number, of = class_number(opened, opened.output_of(class_name)), f"class {class_name}"
    else:
        name = layer or spread(opened.convolutions())[len(spread(opened.convolutions())) // 2]
        opened.convolution(name)
        number, of = _energy(opened, name), f"layer {name}"
    notes = [opened.note] if opened.note else []
    if image is None:
        size = size_for(opened, side or CLASS_SIDE, number)
        ascent = Ascent(steps=CLASS_STEPS if steps is None else steps, seed=seed)
        pictures, (answer,) = maximise(opened, number, 1, size, ascent, progress)
        start = _of_grey(opened, number, size)
        return Dream(opened.name, of, pictures[0], None, (start, float(answer)), ascent.steps, seed,
                     notes)  # fmt: skip
    before = images.as_array(image, opened.fitted.mode)
    before, said = _bounded(opened, before, side or SIDE, number)
    steps = STEPS if steps is None else steps
    pixels, answers = deepened(opened, before, number, steps, octaves, seed, progress)
    return Dream(opened.name, of, pixels, before, answers, steps, seed, [*notes, *said])


def class_number(opened: Opened, output: int) -> Callable[[Tensor], Tensor]:
    """Return what computes how much of a class is in standardised images, shape (N,).

    Of a classifier its logit; of maps of classes its mean over places; of scored boxes the mean
    logit of the likeliest places.
    """
    import torch

    first = 1 if getattr(opened.method, "splits_maps", False) else 0

    def number(x: Tensor) -> Tensor:
        said = opened.said(x)
        if isinstance(said, torch.Tensor):
            mine: Tensor = said[:, first + output]
            return mine.flatten(1).mean(1) if mine.ndim > 1 else mine
        scores = [scored[output].clamp(1e-6, 1 - 1e-6) for _, scored in said]
        best = [torch.logit(s).topk(min(ANSWERS, len(s))).values.mean() for s in scores]
        return torch.stack(best)

    return number


def _energy(opened: Opened, layer: str) -> Callable[[Tensor], Tensor]:
    """Return what computes the mean square of a layer's maps."""
    maps = maps_of(opened, layer)
    return lambda x: maps(x).square().flatten(1).mean(1)


def _of_grey(opened: Opened, number: Callable[[Tensor], Tensor], size: tuple[int, int]) -> float:
    import torch

    low, high = opened.bounds()
    with evaluating(opened.model), torch.no_grad():
        grey = ((low + high) / 2).expand(1, -1, *size).contiguous()
        return float(number(grey)[0])


def _bounded(
    opened: Opened, pixels: NDArray[np.uint8], side: int, number: Callable[[Tensor], Tensor]
) -> tuple[NDArray[np.uint8], list[str]]:
    """Return a picture at the size that it is dreamt at, and what to say of that."""
    import torch

    if side < LEAST:
        raise ParameterError(f"size={side} must be at least {LEAST} pixels")
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    # A tiny picture is enlarged to what the network was made for.
    scale = max(scale, min(opened.fitted.size) / min(height, width)) if scale == 1 else scale
    size = max(LEAST, round(scale * height)), max(LEAST, round(scale * width))
    whole = tuple(max(LEAST, round(n / LEAST) * LEAST) for n in size)  # what most networks halve
    for wanted in (size, (whole[0], whole[1]), opened.fitted.size):
        made = _resized(pixels, wanted)
        try:
            with evaluating(opened.model), torch.no_grad():
                number(opened.standardised(made[None]))
        except (RuntimeError, SightlineError):
            continue
        if wanted == (height, width):
            return made, []
        return made, [f"{width} x {height} pixels, dreamt at {wanted[1]} x {wanted[0]}"]
    raise ParameterError(f"{opened.name} takes no picture of {size[1]} x {size[0]} pixels")


def _resized(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    from PIL import Image

    picture = images.as_picture(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(picture).reshape(*size, -1)


def deepened(
    opened: Opened, pixels: NDArray[np.uint8], number: Callable[[Tensor], Tensor], steps: int,
    octaves: int, seed: int = 0, progress: Progress | None = None,
) -> tuple[NDArray[np.uint8], tuple[float, float]]:  # fmt: skip
    """Change a picture so that a number of it grows, from small scales to large ones.

    Parameters
    ----------
    opened : Opened
    pixels : uint8 array, shape (H, W, C)
    number : callable
        Of standardised images (N, C, h, w) the number, shape (N,).
    steps : int
        Of each octave.
    octaves : int
    seed : int
        Of the shifts.
    progress : callable, optional
        Called with (steps done, steps in all).

    Returns
    -------
    pixels : uint8 array, shape (H, W, C)
    answers : (float, float)
        The number of the picture before and after.
    """
    import torch
    from torch.nn import functional

    if steps < 1 or octaves < 1:
        raise ParameterError(f"steps={steps} and octaves={octaves} must be at least 1")
    height, width = pixels.shape[:2]
    shrunk = [OCTAVE**-k for k in reversed(range(octaves))]
    # Many networks take multiples of 32 pixels alone: all octaves are such where the picture is.
    step = 1 if height % LEAST or width % LEAST else LEAST
    sizes = [(round(s * height / step) * step, round(s * width / step) * step) for s in shrunk]
    sizes = [size for size in sizes if min(size) >= LEAST] or [(height, width)]
    generator = torch.Generator().manual_seed(seed)
    low, high = opened.bounds()
    base = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255
    base = base.to(opened.device)
    if base.shape[1] != low.shape[1]:
        raise ParameterError(f"a picture of {base.shape[1]} channels for one of {low.shape[1]}")
    detail = torch.zeros_like(base)
    done = 0

    def fitting(x: Tensor, size: tuple[int, int]) -> Tensor:
        return functional.interpolate(x, size, mode="bicubic", align_corners=False)

    with evaluating(opened.model):
        for size in sizes:
            small = fitting(base, size)
            x = (small + fitting(detail, size)).clamp(0, 1)
            for _ in range(steps):
                by = (torch.rand(2, generator=generator) * torch.tensor(size)).long().tolist()
                moved = x.roll(by, (2, 3)).detach().requires_grad_()
                said = number(low + (high - low) * moved).sum()
                (slope,) = torch.autograd.grad(said, moved)
                if not bool(torch.isfinite(slope).all()):
                    raise TrainingError(
                        f"{opened.name} has slopes that are not finite: its weights are damaged"
                    )
                change = _smoothed(slope)
                x = (moved.detach() + RATE * change).clamp(0, 1).roll([-b for b in by], (2, 3))
                done += 1
                if progress:
                    progress(done, steps * len(sizes))
            detail = x - small
        with torch.no_grad():
            after = (base + fitting(detail, (height, width))).clamp(0, 1)
            answers = [float(number(low + (high - low) * x)[0]) for x in (base, after)]
    made = (after[0] * 255).round().permute(1, 2, 0).cpu().numpy().astype(np.uint8)
    return made, (answers[0], answers[1])


def _smoothed(slope: Tensor) -> Tensor:
    """Return slopes as the sum of blurred ones, each of mean size 1, of mean size 1 itself."""
    from torchvision.transforms import functional

    parts = [functional.gaussian_blur(slope, [int(6 * b) // 2 * 2 + 1] * 2, [b, b]) for b in BLURS]
    whole = sum(part / part.abs().mean().clamp(min=1e-12) for part in parts)
    made: Tensor = whole / len(BLURS)
    return made
