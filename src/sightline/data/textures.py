"""Draw pictures of one product's surface, good ones and ones with defects, from a seed.

A sheet with a lattice of studs, lit from one side, that lies a little differently under the camera
in each picture. Scratches, spots and missing studs are drawn into it; which pixels they changed is
known exactly.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.data.shapes import colour, one_over_f

VERSION = 1
"""Rises when the same seed comes to draw other pictures."""
GOOD = "good"
DEFECTS = ("missing", "scratch", "spot")
KEPT = 1024
"""Pictures that are kept: 50 MB of 128 pixels a side."""


@dataclass(frozen=True, slots=True)
class Surface:
    """A drawn picture, uint8 (H, W, 3), and the pixels that a defect has changed, bool (H, W)."""

    image: NDArray[np.uint8]
    defect: NDArray[np.bool_]


@functools.lru_cache(maxsize=KEPT)
def surface(seed: int, index: int, size: int, kind: str) -> Surface:
    """Draw picture `index` of `seed`, `size` pixels a side.

    Parameters
    ----------
    seed : int
        One product: its colours, and the lattice of its studs.
    index : int
        How it lies, how it is lit, and its grain.
    size : int
    kind : str
        ``"good"`` or one of `DEFECTS`.
    """
    product = np.random.default_rng([seed, 7])
    sheet, stud = (colour(product, saturation=s) for s in (0.25, 0.6))
    pitch = product.uniform(0.11, 0.15)
    rng = np.random.default_rng([seed, index, size])
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    turn, shift = np.deg2rad(rng.uniform(-3, 3)), rng.uniform(0, pitch, 2)
    u = (x * np.cos(turn) + y * np.sin(turn) + shift[0]) / pitch
    v = (y * np.cos(turn) - x * np.sin(turn) + shift[1]) / pitch
    du, dv = u - np.floor(u) - 0.5, v - np.floor(v) - 0.5
    radius, edge = 0.3, 1 / (pitch * size)  # of a stud, and of one pixel, in pitches
    coverage = ((radius - np.hypot(du, dv)) / edge + 0.5).clip(0, 1)
    absent = np.zeros((size, size), np.bool_)
    if kind == "missing":
        absent = _absent(rng, np.floor(u), np.floor(v), size)
    kept = np.where(absent, 0.0, coverage)
    defect = absent & (coverage >= 0.5)
    dome = 1 + 0.5 * (du + dv) / radius * (kept > 0)  # lit from above on the left
    ground = sheet * (1 + 0.05 * one_over_f(rng, size, 0.8)[..., None])
    image = ground * (1 - kept[..., None]) + stud * (dome * kept)[..., None]
    if kind == "scratch":
        image, defect = _scratched(rng, image, x, y)
    if kind == "spot":
        image, defect = _spotted(rng, image, x, y)
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + 0.08 * ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle))
    image = image * (light * rng.uniform(0.94, 1.06))[..., None]
    image += rng.normal(0, 3, image.shape)
    pixels = image.clip(0, 255).astype(np.uint8)
    pixels.setflags(write=False)
    return Surface(pixels, defect)


def _absent(
    rng: np.random.Generator, column: NDArray[np.float64], row: NDArray[np.float64], size: int
) -> NDArray[np.bool_]:
    """Choose a stud that is seen whole, and up to two beside it; return their cells."""
    at = rng.integers(size // 4, size - size // 4, 2)
    c, r = column[at[0], at[1]], row[at[0], at[1]]
    cells = (column == c) & (row == r)
    for step in range(int(rng.integers(0, 3))):
        cells |= (column == c + 1 + step) & (row == r)
    return np.asarray(cells)


def _scratched(
    rng: np.random.Generator, image: NDArray[np.float64], x: NDArray[np.float64],
    y: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:  # fmt: skip
    """Draw a bent line, brighter or darker than what it crosses."""
    start, angle = rng.uniform(0.2, 0.8, 2), rng.uniform(0, 2 * np.pi)
    length, bend = rng.uniform(0.2, 0.5), rng.uniform(-1.5, 1.5)
    along = np.linspace(0, 1, 60)
    heading = angle + bend * along
    px = start[0] + np.cumsum(np.cos(heading)) * length / 60
    py = start[1] + np.cumsum(np.sin(heading)) * length / 60
    away = np.full(x.shape, np.inf)
    for a, b in zip(px, py, strict=True):
        np.minimum(away, np.hypot(x - a, y - b), out=away)
    half, pixel = rng.uniform(0.008, 0.014), 1 / len(x)
    coverage = ((half - away) / pixel + 0.5).clip(0, 1)
    change = rng.uniform(60, 100) * (1 if image.mean() < 140 else -1)
    return image + change * coverage[..., None], coverage >= 0.5


def _spotted(
    rng: np.random.Generator, image: NDArray[np.float64], x: NDArray[np.float64],
    y: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:  # fmt: skip
    """Draw a stain of another colour with an uneven outline, through which the ground is seen."""
    centre, radius = rng.uniform(0.2, 0.8, 2), rng.uniform(0.05, 0.11)
    angle = np.arctan2(y - centre[1], x - centre[0])
    waves = sum(
        rng.uniform(-0.15, 0.15) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
        for k in range(2, 5)
    )
    away = np.hypot(x - centre[0], y - centre[1])
    coverage = ((radius * (1 + waves) - away) * len(x) + 0.5).clip(0, 1)
    stain = colour(rng, saturation=0.9)
    opacity = rng.uniform(0.5, 0.8) * coverage[..., None]
    return image * (1 - opacity) + stain * opacity, coverage >= 0.5
