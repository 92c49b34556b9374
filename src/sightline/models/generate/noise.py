"""Draw noise by a generator that is the same in Python and in a browser.

So the picture of a seed is one picture, whoever makes it: the command line, the server, or a page
without one. Each number is a hash of the seed, the picture and the place, so that picture 3 of a
seed does not depend on how many are asked for. The hash is lowbias32 (Wellons, Prospecting for hash
functions, 2018); pairs of its numbers become normal ones by Box & Muller (A note on the generation
of random normal deviates, 1958).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LARGEST_SEED = 2**32 - 1


def hashed(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return numbers of 32 bits that look drawn at random, one for each number."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x21F0AAAD)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x735A2D97)
    return np.asarray(x ^ (x >> np.uint32(15)), np.uint32)


def normal(n: int, shape: Sequence[int], seed: int, first: int = 0) -> NDArray[np.float32]:
    """Return independent standard normal numbers, shape (n, *shape).

    Parameters
    ----------
    n : int
        Pictures.
    shape : sequence of int
        Of the noise of one.
    seed : int
        From 0 to 2^32 - 1.
    first : int
        Number of the first picture.

    Examples
    --------
    >>> bool((normal(3, (4,), 7)[2] == normal(1, (4,), 7, first=2)[0]).all())
    True
    """
    count = math.prod(shape)
    pairs = -(-count // 2)
    with np.errstate(over="ignore"):
        pictures = hashed(np.arange(first, first + n, dtype=np.uint32) + np.uint32(0x9E3779B9))
        keys = hashed(pictures ^ hashed(np.array([seed], np.uint32)))[:, None]
        places = np.arange(2 * pairs, dtype=np.uint32)[None]
        numbers = (hashed(hashed(places + keys) ^ keys).astype(np.float64) + 0.5) / 2**32
    radius = np.sqrt(-2 * np.log(numbers[:, 0::2]))
    angle = 2 * math.pi * numbers[:, 1::2]
    both = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 2).reshape(n, -1)
    return both[:, :count].reshape(n, *shape).astype(np.float32)
