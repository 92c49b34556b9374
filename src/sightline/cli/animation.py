"""Write pictures one after the other as an animation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.data import images
from sightline.errors import ParameterError
from sightline.training import run

SHOWN_MS, LAST_MS = 80, 2000
"""How long each picture stays, and the last one."""


def check_animation(target: Path | None, option: str) -> None:
    """Refuse a file that cannot be an animation.

    Raises
    ------
    ParameterError
    """
    if target is not None and target.suffix.lower() not in (".gif", ".webp"):
        raise ParameterError(f"{option} {target}: an animation ends in .gif or .webp")


def animate(frames: Sequence[NDArray[np.uint8]], target: Path) -> None:
    """Write pictures of any sizes, at the size of the last, as one animation without end.

    Parameters
    ----------
    frames : sequence of uint8 array, shape (H, W, C)
    target : path
        That ends in .gif or .webp.
    """
    last = images.as_picture(frames[-1])
    pictures = [images.as_picture(frame).resize(last.size) for frame in frames[:-1]]
    pictures.append(last)
    durations = [SHOWN_MS] * (len(pictures) - 1) + [LAST_MS]
    with run.replacing(target) as part:
        pictures[0].save(
            part, target.suffix[1:].upper(), save_all=True, append_images=pictures[1:],
            duration=durations, loop=0,
        )  # fmt: skip
