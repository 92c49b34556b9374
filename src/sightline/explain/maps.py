"""Compute maps of an answer: which pixels of a picture a number that a network says comes from.

Five of the methods weigh the maps A (K, u, v) of one layer, G being the gradient of the number S
with respect to them; their sum keeps what is positive, and is enlarged to the image:

===========  =====================================================================================
grad-cam     sum of A weighted by the mean of G over places (Selvaraju et al., ICCV 2017)
grad-cam++   weighted by the mean of the positive G, each place by its share of the change as far as
             third derivatives tell (Chattopadhyay et al., WACV 2018, equations 10 and 19)
layer-cam    each place of A weighted by its own positive G (Jiang et al., IEEE TIP 30, 2021)
eigen-cam    the first right singular vector of A; no class (Muhammad & Yeasin, IJCNN 2020)
score-cam    weighted by the softmax of S for the image seen through each map, scaled to [0, 1] and
             enlarged (Wang et al., CVPR workshops 2020, algorithm 1)
===========  =====================================================================================

Three look at pixels alone: *occlusion* covers one place after the other with the mean colour, and
keeps by how much S falls (Zeiler & Fergus, ECCV 2014); *integrated-gradients* adds up gradients on
the way from a black image to the picture, so that their sum is S of the picture less S of black
(Sundararajan, Taly & Yan, ICML 2017); *smoothgrad* averages gradients over noisy copies (Smilkov et
al., 2017) and keeps their size.

Every map is scaled to [0, 1] from its least to its largest value. A map that is the same everywhere
says nothing: it is all zeros, and its ``evidence`` is False.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sightline.errors import ParameterError, UnknownNameError
from sightline.explain.methods import METHODS, OF_A_LAYER
from sightline.explain.opened import Opened, Picture, as_maps, evaluating
from sightline.explain.target import Target

if TYPE_CHECKING:
    from sightline.types import Progress

AT_ONCE = 32
"""Changed images that a network is asked about at once, at most."""

FLAT = 1e-6
"""Share of its own size by which a map has to vary to say anything."""

STEPS = 32
"""Parts that the way from black to the picture is cut into at first; doubled until they add up."""

MOST_STEPS = 512
COMPLETE = 0.01
"""Share of the number's change that integrated gradients may miss."""

NOISY, NOISE = 32, 0.15
"""Copies of SmoothGrad, and the deviation of their noise as a share of the picture's range."""

WINDOW, STRIDE = 8, 16
"""Parts of an image's side that occlusion's window and its steps are."""


@dataclass(frozen=True, slots=True)
class Map:
    """Where in a picture a number comes from, by one method.

    Parameters
    ----------
    method : str
    values : float32 array, shape (h, w)
        In [0, 1], at the size of the network's image.
    layer : str
        Whose maps were weighed; "": pixels alone.
    grid : (height, width)
        Places that the method tells apart.
    evidence : bool
        False: the map was the same everywhere, and is all zeros.
    missed : float, optional
        Of integrated gradients: the share of the change that they do not add up to.
    """

    method: str
    values: NDArray[np.float32]
    layer: str = ""
    grid: tuple[int, int] = (0, 0)
    evidence: bool = True
    missed: float | None = None


def explain(
    opened: Opened, picture: Picture, target: Target, methods: Sequence[str] = ("grad-cam",), *,
    layer: str | None = None, seed: int = 0, progress: Progress | None = None,
) -> list[Map]:  # fmt: skip
    """Compute maps of one number of a picture's answer.

    Parameters
    ----------
    opened : Opened
    picture : Picture
    target : Target
    methods : sequence of str
        Of `METHODS`.
    layer : str, optional
        Of the methods that weigh maps; default: `Opened.default_layer`.
    seed : int
        Of SmoothGrad's noise.
    progress : callable, optional
        Called with (maps done, maps in all).

    Raises
    ------
    UnknownNameError
        When there is no such method or layer.
    ParameterError
        When the layer puts out no maps of several places, or the network has none.
    """
    layer = layer_for(opened, picture, target, methods, layer)
    weighing = [method for method in methods if method in OF_A_LAYER]
    made: list[Map] = []
    with evaluating(opened.model):
        if weighing:
            A, (G,) = activations(opened, picture.x, str(layer), [target.value])
        for done, method in enumerate(methods, 1):
            if method == "score-cam":
                raw = score_cam(opened, picture.x, A, target.value)
            elif method in OF_A_LAYER:
                raw = weighed(method, A, G)
            elif method == "occlusion":
                raw = occlusion(opened, picture.x, target.value)
            elif method == "smoothgrad":
                raw = smooth_gradients(opened, picture.x, target.value, seed)
            else:
                raw, missed = integrated_gradients(opened, picture.x, target.value)
                raw = raw.sum(1)
            own = str(layer) if method in weighing else ""
            left = missed if method == "integrated-gradients" else None
            made.append(_map(method, raw, picture.size, own, left))
            if progress:
                progress(done, len(methods))
    return made


def layer_for(
    opened: Opened, picture: Picture, target: Target, methods: Sequence[str], layer: str | None
) -> str | None:
    """Return the layer whose maps methods weigh: the one named, or the default; None: none does.

    Parameters
    ----------
    opened, picture, target, methods, layer
        See `explain`.

    Raises
    ------
    UnknownNameError
        When there is no such method or layer.
    ParameterError
        When the layer puts out no maps of several places, or the network has none.
    """
    for method in methods:
        if method not in METHODS:
            raise UnknownNameError("method", method, METHODS)
    if layer is None:
        weighs = any(method in OF_A_LAYER for method in methods)
        return opened.default_layer(picture, target) if weighs else None
    opened.layer(layer)
    if layer not in {known.name for known in opened.layers_with_places(picture)}:
        raise ParameterError(
            f"the layer {layer} of {opened.name} puts out no maps of several places; one that "
            f"does is layer={opened.default_layer(picture, target)}"
        )
    return layer


def _map(
    method: str, raw: Tensor, size: tuple[int, int], layer: str, missed: float | None = None
) -> Map:
    """Scale a raw map (1, u, v) to [0, 1] and to the size of the image."""
    values, evidence = scaled(raw, size)
    grid = (raw.shape[1], raw.shape[2])
    if method == "occlusion":
        grid = (STRIDE, STRIDE)
    return Map(method, values[0], layer, grid, bool(evidence[0]), missed)


def scaled(raw: Tensor, size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Keep what is positive of maps, and scale them to [0, 1] and to the size of an image.

    Parameters
    ----------
    raw : Tensor, shape (N, u, v)
    size : (height, width)

    Returns
    -------
    values : float32 array, shape (N, height, width)
    evidence : bool array, shape (N,)
        False where a map is the same everywhere, and so all zeros.
    """
    positive = torch.nan_to_num(raw.detach().float(), 0.0, 0.0, 0.0).relu()[:, None]
    low, high = (f(positive, (1, 2, 3), keepdim=True) for f in (torch.amin, torch.amax))
    evidence = high - low > FLAT * high
    unit = torch.where(evidence, (positive - low) / torch.where(evidence, high - low, 1.0), 0.0)
    if tuple(unit.shape[2:]) != size:
        unit = functional.interpolate(unit, size, mode="bilinear", align_corners=False)
        low, high = (f(unit, (1, 2, 3), keepdim=True) for f in (torch.amin, torch.amax))
        unit = torch.where(high > low, (unit - low) / torch.where(high > low, high - low, 1.0), 0.0)
    return unit[:, 0].cpu().numpy(), evidence[:, 0, 0, 0].cpu().numpy()


# ---- maps of a layer


def activations(
    opened: Opened, x: Tensor, layer: str, values: Sequence[Callable[[Any], Tensor]]
) -> tuple[Tensor, list[Tensor]]:
    """Compute a layer's maps and how several numbers change with them, in one pass forward.

    Parameters
    ----------
    opened : Opened
    x : Tensor, shape (N, C, h, w)
        Standardised.
    layer : str
    values : sequence of callable
        What the network says to a number an image, shape (N,); see `Target.value`.

    Returns
    -------
    maps : Tensor, shape (N, K, u, v)
    slopes : list of Tensor, shape (N, K, u, v)
        One a number.

    Raises
    ------
    ParameterError
        When the layer puts out no maps.
    """
    with torch.enable_grad(), _entered(opened.layer(layer)) as kept:
        said = opened.said(x)
        out = kept[-1] if kept else None
        if out is None or (A := as_maps(out)) is None:
            raise ParameterError(f"the layer {layer} of {opened.name} puts out no maps")
        slopes = []
        for value in values:
            numbers = value(said)
            slope = None
            if numbers.requires_grad:
                (slope,) = torch.autograd.grad(
                    numbers.sum(), out, retain_graph=True, allow_unused=True
                )
            made = as_maps(torch.zeros_like(out) if slope is None else slope)
            assert made is not None
            slopes.append(made)
    return A.detach(), slopes


@contextmanager
def _entered(module: nn.Module) -> Iterator[list[Tensor]]:
    """Let what a layer puts out be where gradients end, so that none is computed before it."""
    kept: list[Tensor] = []

    def enter(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        if not isinstance(output, Tensor):
            return output
        kept.append(output.detach().clone().requires_grad_())
        return kept[-1].clone()  # of its own, as what follows may change it in place

    handle = module.register_forward_hook(enter)
    try:
        yield kept
    finally:
        handle.remove()


def weighed(method: str, A: Tensor, G: Tensor) -> Tensor:
    """Compute a map of a layer by a method that asks nothing more of the network.

    Parameters
    ----------
    method : {"grad-cam", "grad-cam++", "layer-cam", "eigen-cam"}
    A, G : Tensor, shape (N, K, u, v)
        Maps, and how the number changes with them.

    Returns
    -------
    Tensor, shape (N, u, v)
        Not scaled; negative values are no evidence.
    """
    if method == "grad-cam":
        return _summed(G.mean((2, 3)), A)
    if method == "layer-cam":
        return (G.relu() * A).sum(1)
    if method == "eigen-cam":
        return _first_component(A)
    below = 2 * G**2 + A.sum((2, 3), keepdim=True) * G**3
    share = torch.where(below != 0, G**2 / torch.where(below != 0, below, 1.0), 0.0)
    return _summed((share * G.relu()).sum((2, 3)), A)


def _summed(weights: Tensor, A: Tensor) -> Tensor:
    """Add up maps (N, K, u, v) by their weights (N, K)."""
    return (weights[:, :, None, None] * A).sum(1)


def _first_component(A: Tensor) -> Tensor:
    """Project the places of maps on their first right singular vector, its sum positive."""
    places = A.flatten(2).transpose(1, 2)
    _, _, vectors = torch.linalg.svd(places, full_matrices=False)
    along = (places @ vectors[:, 0, :, None])[..., 0]
    sign = torch.where(along.sum(1, keepdim=True) < 0, -1.0, 1.0)
    made: Tensor = (along * sign).reshape(len(A), *A.shape[2:])
    return made


def score_cam(
    opened: Opened, x: Tensor, A: Tensor, value: Callable[[Any], Tensor],
    progress: Progress | None = None,
) -> Tensor:  # fmt: skip
    """Weigh maps by what the network says of an image that is seen through each of them.

    Parameters
    ----------
    opened : Opened
    x : Tensor, shape (N, C, h, w)
    A : Tensor, shape (N, K, u, v)
        Of a layer, for the same images. A map that is the same everywhere shows nothing, and is
        seen through as black.
    value : callable
        See `Target.value`.
    progress : callable, optional
        Called with (images asked about, images in all).

    Returns
    -------
    Tensor, shape (N, u, v)
    """
    made = []
    at_once = batch_of(opened)
    for image, maps in zip(x, A, strict=True):
        low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
        varied = torch.nonzero((high > low).flatten())[:, 0]
        scores = maps.new_empty(len(maps))
        black = torch.zeros_like(image[None])
        with torch.inference_mode():
            if len(varied) < len(maps):
                scores[:] = value(opened.said(black))
            for start in range(0, len(varied), at_once):
                part = maps[varied[start : start + at_once], None]
                part = functional.interpolate(part, image.shape[1:], mode="bilinear")
                least, most = (f(part, (2, 3), keepdim=True) for f in (torch.amin, torch.amax))
                part = (part - least) / (most - least).clamp(min=torch.finfo(part.dtype).tiny)
                seen = value(opened.said(image[None] * part)).float()
                scores[varied[start : start + at_once]] = seen.to(scores.dtype)
        made.append(_summed(scores.softmax(0)[None], maps[None])[0])
    return torch.stack(made)


def batch_of(opened: Opened) -> int:
    """Return how many changed images to ask a network about at once."""
    own = getattr(opened.method, "batch", AT_ONCE) if opened.task != "classify" else AT_ONCE
    return max(1, min(int(own), AT_ONCE))


# ---- maps of pixels


def numbers(opened: Opened, x: Tensor, value: Callable[[Any], Tensor]) -> Tensor:
    """Compute a number of each of many images (N, C, h, w), part by part: shape (N,)."""
    at_once = batch_of(opened)
    made = x.new_empty(len(x), dtype=torch.float32)
    with torch.inference_mode():
        for i in range(0, len(x), at_once):
            made[i : i + at_once] = value(opened.said(x[i : i + at_once]))
    return made


def occlusion(opened: Opened, x: Tensor, value: Callable[[Any], Tensor]) -> Tensor:
    """Measure by how much a number falls as one place after the other gets the mean colour.

    Parameters
    ----------
    opened : Opened
    x : Tensor, shape (1, C, h, w)
    value : callable
        See `Target.value`.

    Returns
    -------
    Tensor, shape (1, h, w)
        The mean fall over the windows that cover a pixel.
    """
    height, width = x.shape[2:]
    windows = [
        (slice(top, top + tall), slice(left, left + wide))
        for tall, step_y in [(max(1, height // WINDOW), max(1, height // STRIDE))]
        for wide, step_x in [(max(1, width // WINDOW), max(1, width // STRIDE))]
        for top in range(1 - tall + (tall - 1) % step_y, height, step_y)
        for left in range(1 - wide + (wide - 1) % step_x, width, step_x)
    ]
    windows = [(slice(max(r.start, 0), r.stop), slice(max(c.start, 0), c.stop)) for r, c in windows]
    whole = numbers(opened, x, value)
    fall, count = x.new_zeros(height, width), x.new_zeros(height, width)
    at_once = batch_of(opened)
    for start in range(0, len(windows), at_once):
        part = windows[start : start + at_once]
        covered = x.repeat(len(part), 1, 1, 1)
        for image, (rows, columns) in zip(covered, part, strict=True):
            image[:, rows, columns] = 0
        falls = whole - numbers(opened, covered, value)
        for (rows, columns), one in zip(part, falls, strict=True):
            fall[rows, columns] += one
            count[rows, columns] += 1
    return (fall / count.clamp(min=1))[None]


def _slopes(opened: Opened, x: Tensor, value: Callable[[Any], Tensor]) -> Tensor:
    """Compute how the number of each image (N, C, h, w) changes with its pixels, same shape."""
    made = []
    at_once = batch_of(opened)
    for part in (x[i : i + at_once] for i in range(0, len(x), at_once)):
        with torch.enable_grad():
            known = part.detach().clone().requires_grad_()
            number = value(opened.said(known)).sum()
            slope = None
            if number.requires_grad:
                (slope,) = torch.autograd.grad(number, known, allow_unused=True)
        made.append(torch.zeros_like(part) if slope is None else slope)
    return torch.cat(made)


def integrated_gradients(
    opened: Opened, x: Tensor, value: Callable[[Any], Tensor], steps: int | None = None
) -> tuple[Tensor, float]:
    """Sum gradients on the way from black to the picture, by the trapezoidal rule.

    Parameters
    ----------
    opened : Opened
    x : Tensor, shape (1, C, h, w)
    value : callable
        See `Target.value`.
    steps : int, optional
        Parts that the way is cut into; default: as many as miss at most 1%, up to 512.

    Returns
    -------
    Tensor, shape (1, C, h, w)
        What each value of the image adds to the number.
    float
        The share of the number's change that the sum misses.
    """
    black = opened.bounds()[0].expand_as(x)
    change = float((numbers(opened, x, value) - numbers(opened, black, value))[0])
    count = steps or STEPS
    ends = x.new_tensor([0.0, 1.0])
    total = _along(opened, black, x, ends, value) / 2
    new = torch.arange(1, count, device=x.device) / count
    while True:
        total += _along(opened, black, x, new, value)
        made = total / count * (x - black)
        missed = abs(float(made.sum()) - change) / max(abs(change), 1e-12)
        if missed <= COMPLETE or steps is not None or 2 * count > MOST_STEPS:
            return made, missed
        new = (torch.arange(count, device=x.device) + 0.5) / count  # between those asked before
        count *= 2


def _along(
    opened: Opened, start: Tensor, end: Tensor, at: Tensor, value: Callable[[Any], Tensor]
) -> Tensor:
    """Sum the gradients at shares of the way from one image to another, (1, C, h, w)."""
    total = torch.zeros_like(end)
    at_once = batch_of(opened)
    for i in range(0, len(at), at_once):
        part = at[i : i + at_once].view(-1, 1, 1, 1)
        total += _slopes(opened, start + part * (end - start), value).sum(0, keepdim=True)
    return total


def smooth_gradients(
    opened: Opened, x: Tensor, value: Callable[[Any], Tensor], seed: int = 0
) -> Tensor:
    """Average gradients over noisy copies of an image (1, C, h, w); return their size (1, h, w)."""
    chance = torch.Generator().manual_seed(seed)
    spread = NOISE * float(x.max() - x.min())
    total = torch.zeros_like(x)
    for start in range(0, NOISY, batch_of(opened)):
        copies = min(batch_of(opened), NOISY - start)
        noise = torch.randn((copies, *x.shape[1:]), generator=chance).to(x.device)
        total += _slopes(opened, x + spread * noise, value).sum(0, keepdim=True)
    return (total / NOISY).abs().sum(1)
