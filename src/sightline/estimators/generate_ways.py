"""Move through the noise that pictures are made of: between two, by arithmetic, and into gaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError, ParameterError
from sightline.estimators.generate_network import FlowNetwork, GanNetwork, GenerativeNetwork

if TYPE_CHECKING:
    from torch import Tensor

ROUNDS = 20
"""Times that a network with a code fills a gap, sees the whole, and fills it again; a search for
noise, which sees the whole each time at greater length, is done `SEARCHES` times."""

SEARCHES = 3


def between(
    a: NDArray[np.float32], b: NDArray[np.float32], shares: Sequence[float]
) -> NDArray[np.float32]:
    """Return noise on the way from one to the other, shape (len(shares), *latent).

    On the arc, not the line: normal noise of many numbers has about one length, and its middle on
    the line would be shorter than any (White, Sampling generative networks, 2016, section 2).

    Parameters
    ----------
    a, b : float32 array, shape (*latent,)
    shares : sequence of float
        In [0, 1]: 0 is a.
    """
    x, y = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    cosine = x @ y / max(float(np.linalg.norm(x) * np.linalg.norm(y)), 1e-12)
    angle = float(np.arccos(np.clip(cosine, -1, 1)))
    out = []
    for s in shares:
        if angle < 1e-4 or angle > np.pi - 1e-4:
            out.append((1 - s) * x + s * y)
        else:
            out.append((np.sin((1 - s) * angle) * x + np.sin(s * angle) * y) / np.sin(angle))
    return np.stack(out).reshape(len(shares), *a.shape).astype(np.float32)


def arithmetic(method: GenerativeNetwork, X: NDArray[np.uint8], frames: int) -> NDArray[np.uint8]:
    """Return the way from a picture a to a - b + c, by their noise (Radford et al., section 6.3.2).

    Parameters
    ----------
    method : GenerativeNetwork
    X : uint8 array, shape (3, H, W, C)
        a, b and c.
    frames : int

    Returns
    -------
    uint8 array, shape (frames, H, W, C)

    Raises
    ------
    ParameterError
        When there are not three pictures.
    """
    if len(X) != 3:
        raise ParameterError(f"arithmetic is of 3 pictures, A - B + C, not of {len(X)}")
    unknown = np.full(3, -1, np.int64)
    a, b, c = method.codes(X, unknown)
    shares = np.linspace(0, 1, frames, dtype=np.float32).reshape(-1, *[1] * a.ndim)
    return drawn_again(method, a + shares * (c - b))


def drawn_again(method: GenerativeNetwork, noise: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the pictures of noise that was found for pictures, whose class is not known."""
    unknown = np.full(len(noise), -1, np.int64)
    how: dict[str, Any] = {"guidance": 1.0} if isinstance(method, FlowNetwork) else {}
    return method.draw(np.ascontiguousarray(noise), unknown, **how)


def from_noise(
    method: GenerativeNetwork, noise: NDArray[np.float32], labels: NDArray[np.int64],
    frames: int, **how: Any,
) -> list[NDArray[np.uint8]]:  # fmt: skip
    """Return pictures on their way from noise, each step (N, H, W, C).

    Of a flow these are the points of its steps. Other networks make a picture at once: theirs is
    the way from the mean of all noise, 0, outwards.

    Parameters
    ----------
    method : GenerativeNetwork
    noise : float32 array, shape (N, *latent)
    labels : int64 array, shape (N,)
    frames : int
        Steps of a network that is no flow.
    **how
        Of a flow.
    """
    if not isinstance(method, FlowNetwork):
        return [
            method.draw((noise * share).astype(np.float32), labels)
            for share in np.linspace(0, 1, frames)
        ]
    import torch

    device = next(method.model.parameters()).device
    seen = [torch.from_numpy(noise)]
    own = method.how() | {k: v for k, v in how.items() if v is not None}
    with torch.inference_mode():
        method.model.draw(
            torch.from_numpy(noise).to(device), method.labels(labels, device),
            watch=lambda _, x: seen.append(x), **own,
        )  # fmt: skip
    return [method.bytes_of(x) for x in seen]


def inpainted(
    method: GenerativeNetwork, X: NDArray[np.uint8], mask: NDArray[np.bool_], *, seed: int = 0
) -> NDArray[np.uint8]:
    """Return pictures with a part made anew that suits the rest.

    A flow follows its way from noise, and at each time what is known of the picture is put where
    the straight line from its noise has it (Lugmayr et al., RePaint, 2022, equation 8, without its
    repetitions). Other networks draw the whole picture again, keep the part that is missing, and go
    on from that.

    Parameters
    ----------
    method : GenerativeNetwork
    X : uint8 array, shape (N, H, W, C)
    mask : bool array, shape (H, W)
        Where the part is missing.
    seed : int

    Raises
    ------
    DataError
        When the mask has another size, or leaves nothing or everything.
    """
    if mask.shape != X.shape[1:3]:
        raise DataError(
            f"the mask has {mask.shape[1]} x {mask.shape[0]} pixels, and the pictures "
            f"{X.shape[2]} x {X.shape[1]}"
        )
    if mask.all() or not mask.any():
        what = "all of the picture" if mask.all() else "nothing"
        raise DataError(f"the mask covers {what}: it is white where a part is to be made anew")
    unknown = np.full(len(X), -1, np.int64)
    gap = mask[None, :, :, None]
    if isinstance(method, FlowNetwork):
        made = _along(method, X, mask, seed)
        return np.where(gap, made, X)
    filled = np.where(gap, np.uint8(round(255 * float(method.mean_[0]))), X)
    for _ in range(SEARCHES if isinstance(method, GanNetwork) else ROUNDS):
        filled = np.where(gap, method.reconstructed(filled, unknown), X)
    return filled


def _along(
    method: FlowNetwork, X: NDArray[np.uint8], mask: NDArray[np.bool_], seed: int
) -> NDArray[np.uint8]:
    """Go along a flow with what is known of pictures held in its place."""
    import torch

    from sightline.models.generate.flow import Flow, path

    x1 = method.standard(X)
    x0 = torch.from_numpy(method.noise(len(X), seed)).to(x1)
    gap = torch.from_numpy(mask).to(x1.device)[None, None]
    labels = method.labels(np.full(len(X), -1, np.int64), x1.device)
    model = method.model
    assert isinstance(model, Flow)
    steps = 5 * int(method.asked.steps)
    with torch.inference_mode():
        velocity = model.velocity(labels)
        x = x0
        for i in range(steps):
            t = torch.full((len(X),), i / steps, device=x1.device)
            held: Tensor = path(x0, x1, t)[0]
            x = torch.where(gap, x, held)
            x = x + velocity(x, i / steps) / steps
    return method.bytes_of(x)
