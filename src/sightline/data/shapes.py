"""Draw scenes of textured shapes on a natural-looking ground, from a seed.

Every pixel's owner is known, so boxes, instance masks and label maps are exact. A shape
may hide part of another, never so much that less than a third of it is seen.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.data.annotation import Annotation

VERSION = 1
"""Rises when the same seed comes to draw other pictures."""
CLASSES = ("circle", "rectangle", "triangle", "star", "ring", "cross")
SMALL, KEPT = 128, 512
"""Pixels a side up to which so many scenes are kept: 58 MB of the largest."""
_OVERSAMPLE = 4
_LEAST_SEEN = 1 / 3


@dataclass(frozen=True, slots=True)
class Scene:
    """A drawn image, uint8 (H, W, 3), and its exact annotation."""

    image: NDArray[np.uint8]
    annotation: Annotation


def scene(seed: int, index: int, size: int, objects: int) -> Scene:
    """Draw scene `index` of `seed`: `size` pixels a side, 1 to `objects` shapes.

    Drawing takes about as long as a small network needs to learn from it, so small scenes are kept.
    """
    return (_small if size <= SMALL else _large)(seed, index, size, objects)


def _drawn(seed: int, index: int, size: int, objects: int) -> Scene:
    rng = np.random.default_rng([seed, index, size, objects])
    labels, coverages = _place(rng, size, objects)
    image = draw_ground(rng, size)
    light = rng.uniform(0, 2 * np.pi)
    for coverage in coverages:
        texture = draw_texture(rng, size, light)
        alpha = coverage[..., None]
        image = image * (1 - alpha) + texture * alpha
    image += rng.normal(0, rng.uniform(1, 5), image.shape)
    masks = visible_parts(coverages)
    boxes = np.array([box_around(mask) for mask in masks], np.float64).reshape(-1, 4)
    annotation = Annotation(
        width=size, height=size, boxes=boxes, labels=np.array(labels), shapes=list(masks)
    )
    pixels = image.clip(0, 255).astype(np.uint8)
    pixels.setflags(write=False)
    return Scene(pixels, annotation)


_small = functools.lru_cache(maxsize=KEPT)(_drawn)
_large = functools.lru_cache(maxsize=64)(_drawn)


def first_label(seed: int, index: int, size: int, objects: int) -> int:
    """Return the class of a scene's first shape, without drawing it."""
    rng = np.random.default_rng([seed, index, size, objects])
    rng.integers(1, objects + 1)
    return int(rng.integers(len(CLASSES)))


def _place(
    rng: np.random.Generator, size: int, objects: int
) -> tuple[list[int], list[NDArray[np.float64]]]:
    """Choose shapes until each is visible enough; the first is always kept."""
    wanted = int(rng.integers(1, objects + 1))
    labels: list[int] = []
    coverages: list[NDArray[np.float64]] = []
    for _ in range(4 * wanted):
        label = int(rng.integers(len(CLASSES)))
        coverage = _coverage(rng, CLASSES[label], size)
        tried = [*coverages, coverage]
        seen = [
            mask.sum() >= _LEAST_SEEN * max((c >= 0.5).sum(), 1) and mask.any()
            for mask, c in zip(visible_parts(tried), tried, strict=True)
        ]
        if all(seen) or not labels:
            labels.append(label)
            coverages = tried
        if len(labels) == wanted:
            break
    return labels, coverages


def visible_parts(coverages: list[NDArray[np.float64]]) -> list[NDArray[np.bool_]]:
    """Return the pixels that each shape owns; a later shape lies on top of the earlier ones."""
    owner = np.full(coverages[0].shape, -1)
    for i, coverage in enumerate(coverages):
        owner[coverage >= 0.5] = i
    return [owner == i for i in range(len(coverages))]


def box_around(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return the smallest box around a mask with pixels: xyxy, the far edges exclusive."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1


def _coverage(rng: np.random.Generator, name: str, size: int) -> NDArray[np.float64]:
    """Return the share of each pixel that a shape of random place, size and turn covers."""
    side = size * _OVERSAMPLE
    radius = side * rng.uniform(0.12, 0.28)
    centre = rng.uniform(radius * 0.8, side - radius * 0.8, 2)
    turn = rng.uniform(0, 2 * np.pi)
    return _covered(name, size, radius, centre, turn, rng.uniform(0.65, 1.0))


def covered(
    name: str, size: int, radius: float, place: NDArray[np.float64], turn: float, squeeze: float
) -> NDArray[np.float64]:
    """Return the share of each pixel that a shape covers, shape (size, size).

    Parameters
    ----------
    name : str
        One of `CLASSES`.
    size : int
        Pixels a side of the picture.
    radius : float
        In sides of the picture.
    place : (x, y)
        Of its centre, in sides of the picture.
    turn : float
        Radians.
    squeeze : float
        Height over width, of a rectangle or triangle.
    """
    side = size * _OVERSAMPLE
    return _covered(name, size, side * radius, side * np.asarray(place), turn, squeeze)


def _covered(
    name: str, size: int, radius: float, centre: NDArray[np.float64], turn: float, squeeze: float
) -> NDArray[np.float64]:
    """Draw a shape on a canvas of more pixels, of which radius and centre are; see `covered`."""
    from PIL import Image, ImageDraw

    side = size * _OVERSAMPLE
    canvas = Image.new("L", (side, side))
    draw = ImageDraw.Draw(canvas)
    for outline, ink in _outlines(name, squeeze):
        c, n = np.cos(turn), np.sin(turn)
        points = outline @ np.array([[c, n], [-n, c]]) * radius + centre
        draw.polygon([(float(x), float(y)) for x, y in points], fill=ink)
    full = np.asarray(canvas, np.float64) / 255
    return np.asarray(full.reshape(size, _OVERSAMPLE, size, _OVERSAMPLE).mean((1, 3)))


def _outlines(name: str, squeeze: float) -> list[tuple[NDArray[np.float64], int]]:
    """Return polygons around the origin, of radius about one, each with its ink."""
    if name in ("circle", "ring"):
        circle = _regular(64)
        return [(circle, 255)] + ([(circle * 0.55, 0)] if name == "ring" else [])
    if name == "rectangle":
        return [(np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (0.85, 0.85 * squeeze), 255)]
    if name == "triangle":
        return [(_regular(3) * (1, squeeze), 255)]
    if name == "star":
        star = _regular(10)
        star[1::2] *= 0.45
        return [(star, 255)]
    w = 0.3
    cross = [(-w, -1), (w, -1), (w, -w), (1, -w), (1, w), (w, w), (w, 1), (-w, 1), (-w, w),
             (-1, w), (-1, -w), (-w, -w)]  # fmt: skip
    return [(np.array(cross), 255)]


def _regular(n: int) -> NDArray[np.float64]:
    angles = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def draw_ground(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Draw noise with the 1/f amplitude spectrum of natural images, in two muted colours.

    Source: D. J. Field, Relations between the statistics of natural images and the
    response properties of cortical cells, J. Opt. Soc. Am. A 4, 1987.
    """
    relief = one_over_f(rng, size, rng.uniform(0.9, 1.4))
    low, high = (colour(rng, saturation=0.35) for _ in range(2))
    mix = 1 / (1 + np.exp(-1.2 * relief))[..., None]
    return low * (1 - mix) + high * mix + 8 * one_over_f(rng, size, 0.6)[..., None]


def one_over_f(rng: np.random.Generator, size: int, power: float) -> NDArray[np.float64]:
    """Draw noise whose amplitudes fall with a power of the frequency, of mean 0 and deviation 1."""
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    f[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / f**power
    noise = np.fft.irfft2(spectrum, s=(size, size))
    return np.asarray((noise - noise.mean()) / noise.std())


def colour(rng: np.random.Generator, saturation: float) -> NDArray[np.float64]:
    """Draw a colour of a saturation, red, green and blue up to 255."""
    import colorsys

    value = rng.uniform(0.35, 0.95)
    return 255 * np.array(colorsys.hsv_to_rgb(rng.random(), saturation, value))


def draw_texture(rng: np.random.Generator, size: int, light: float) -> NDArray[np.float64]:
    """Draw a coloured surface: stripes, checks, dots or grain, lit from one side."""
    y, x = np.mgrid[:size, :size] / size
    angle, pitch = rng.uniform(0, np.pi), rng.uniform(6, 22)
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    waves_u, waves_v = np.sin(2 * np.pi * pitch * u), np.sin(2 * np.pi * pitch * v)
    kind = rng.integers(4)
    pattern = (
        waves_u,
        np.sign(waves_u * waves_v),
        (waves_u + waves_v > 0.9).astype(float),
        one_over_f(rng, size, 0.5),
    )[kind]
    shade = 1 + 0.18 * ((x - 0.5) * np.cos(light) + (y - 0.5) * np.sin(light))
    ink = colour(rng, saturation=rng.uniform(0.55, 1.0))
    return np.asarray((ink + 28 * pattern[..., None]) * shade[..., None])
