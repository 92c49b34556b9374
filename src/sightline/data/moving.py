"""Draw films of moving shapes, from a seed: where each is in every frame is known.

The shapes and grounds are those of `shapes`. Each moves along a straight line, is thrown back at
the borders, turns, and passes before or behind the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.data import shapes
from sightline.errors import ParameterError

SEEN = 0.1
"""Share of an object's pixels that is to be seen for the object to be in a frame."""


@dataclass(frozen=True, slots=True)
class Film:
    """A film with what is in it.

    Parameters
    ----------
    frames : uint8 array, shape (T, H, W, 3)
    numbers : list of int64 array, shape (n,)
        Of each frame the objects that are seen, from 1.
    boxes : list of float32 array, shape (n, 4)
        Around their pixels that are seen: xyxy.
    labels : list of int64 array, shape (n,)
        Their classes, numbers of `classes`.
    """

    frames: NDArray[np.uint8]
    numbers: list[NDArray[np.int64]]
    boxes: list[NDArray[np.float32]]
    labels: list[NDArray[np.int64]]

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes."""
        return shapes.CLASSES

    @property
    def hidden(self) -> int:
        """Return how often an object is in no frame between two frames that show it."""
        shown: dict[int, list[int]] = {}
        for at, numbers in enumerate(self.numbers):
            for number in numbers.tolist():
                shown.setdefault(number, []).append(at)
        return sum(int((np.diff(at) > 1).sum()) for at in shown.values())


def film(
    seed: int = 0, *, frames: int = 100, size: int = 128, objects: int = 4, speed: float = 0.015
) -> Film:
    """Draw a film of moving shapes.

    Parameters
    ----------
    seed : int
    frames : int
    size : int
        Pixels a side.
    objects : int
    speed : float
        Of the fastest, in sides a frame.

    Raises
    ------
    ParameterError
        When there are no frames or objects, or they are too small.
    """
    if frames < 1 or objects < 1 or size < 16:
        raise ParameterError(
            f"a film needs a frame, an object and 16 pixels a side, not {frames}, {objects} and "
            f"{size}"
        )
    rng = np.random.default_rng([seed, frames, size, objects])
    ground, light = shapes.draw_ground(rng, size), rng.uniform(0, 2 * np.pi)
    labels = rng.permutation(np.arange(objects) % len(shapes.CLASSES))
    textures = [shapes.draw_texture(rng, size, light) for _ in range(objects)]
    radius = rng.uniform(0.08, 0.16, objects)
    place = rng.uniform(radius[:, None], 1 - radius[:, None], (objects, 2))
    angle = rng.uniform(0, 2 * np.pi, objects)
    pace = speed * rng.uniform(0.4, 1, objects)[:, None]
    step = pace * np.stack([np.cos(angle), np.sin(angle)], 1)
    turn, spin = rng.uniform(0, 2 * np.pi, objects), rng.uniform(-0.03, 0.03, objects)
    squeeze = rng.uniform(0.65, 1.0, objects)
    pictures, numbers, boxes, known = [], [], [], []
    for _ in range(frames):
        covers = [
            shapes.covered(shapes.CLASSES[label], size, radius[i], place[i], turn[i], squeeze[i])
            for i, label in enumerate(labels)
        ]
        picture = ground
        for cover, texture in zip(covers, textures, strict=True):
            picture = picture * (1 - cover[..., None]) + texture * cover[..., None]
        pictures.append(picture.clip(0, 255).astype(np.uint8))
        masks = shapes.visible_parts(covers)
        whole = np.array([(cover >= 0.5).sum() for cover in covers])
        seen = np.array([mask.sum() for mask in masks]) >= np.maximum(SEEN * whole, 1)
        rows = np.flatnonzero(seen)
        numbers.append(rows + 1)
        boxes.append(
            np.array([shapes.box_around(masks[i]) for i in rows], np.float32).reshape(-1, 4)
        )
        known.append(labels[rows])
        place = place + step
        beyond = (place < radius[:, None]) | (place > 1 - radius[:, None])
        step = np.where(beyond, -step, step)
        place = np.clip(place, radius[:, None], 1 - radius[:, None])
        turn = turn + spin
    return Film(np.stack(pictures), numbers, boxes, known)
