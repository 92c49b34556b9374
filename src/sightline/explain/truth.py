"""Test whether a map is true: whether the answer depends on the pixels that it shows.

A map says which pixels matter most. If that is true, the answer falls quickly when these are taken
away first (*deletion*: covered with the mean colour) and rises quickly when these are given back
first (*insertion*: into a blurred picture). The scores are the areas under the two curves (Petsiuk,
Das & Saenko, RISE, BMVC 2018): deletion is better the smaller, insertion the larger it is.

Alone such figures say little, so they stand beside those of *null maps*, which know nothing of the
network: chance, a Gaussian in the middle, where most pictures have their object, and the edges of
the picture (Sobel). A method that does not beat them has not shown that it knows more.

Another question is whether a map depends on what was learned: the network's weights are drawn anew,
layer by layer from the head down, and the map of each is compared with the first one by the rank
correlation of its pixels (Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as vision

from sightline.explain import maps
from sightline.explain.maps import Map
from sightline.explain.opened import Opened, Picture, evaluating
from sightline.explain.target import Target

if TYPE_CHECKING:
    from sightline.types import Progress

Measure = Literal["deletion", "insertion"]

NULLS = ("random", "gaussian", "edges")
"""Maps that know nothing of the network."""

STEPS = 20
"""Parts in which pixels are taken away and given back."""

DRAWS = 3
"""Random maps, whose curves are averaged."""

BLUR = 5 / 224
"""Deviation of the blur that insertion begins with, as a share of the image's side."""

STAGES = 8
"""Networks whose weights are drawn anew, from the head down, at most."""

KEPT = 0.5
"""Rank correlation from which on a map of random weights is still the trained network's."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A map with the curves of its truth.

    Parameters
    ----------
    map : Map
    deletion, insertion : float64 array, shape (S + 1,)
        Probability of what is explained, by the share of the pixels taken away or given back.
    """

    map: Map
    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]

    @property
    def name(self) -> str:
        """Return the method's name."""
        return self.map.method

    def score(self, measure: Measure) -> float:
        """Return the area under a curve, in [0, 1]."""
        curve = self.deletion if measure == "deletion" else self.insertion
        return float(((curve[1:] + curve[:-1]) / 2).mean())


@dataclass(frozen=True, slots=True)
class Stage:
    """What is left of a map when weights are drawn anew.

    Parameters
    ----------
    layer : str
        The last layer whose weights were drawn, from the head down.
    correlation : float
        Spearman's, of the map's pixels with the trained network's; 0 where either is flat.
    evidence : bool
        False: the random network's map is flat, as nothing is left of the answer.
    """

    layer: str
    correlation: float
    evidence: bool = True


@dataclass(frozen=True, slots=True)
class Explanation:
    """Maps of one number of a picture's answer, and how true they are.

    Parameters
    ----------
    name, task, note : str
        Of the network; see `Opened`.
    picture : Picture
    target : Target
    others : tuple of Target
        What else of the answer could be explained.
    maps : list of Judged
    nulls : list of Judged
        In the order of `NULLS`.
    randomised : mapping of str to list of Stage
        By method, where it was asked for.
    """

    name: str
    task: str
    note: str
    picture: Picture
    target: Target
    others: tuple[Target, ...]
    maps: list[Judged]
    nulls: list[Judged]
    randomised: Mapping[str, list[Stage]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the figures for programs."""
        box = self.target.box
        return {
            "network": self.name, "task": self.task, "image": self.picture.name,
            "target": self.target.name, "class": self.target.class_name,
            "score": self.target.score,
            "box": None if box is None else self.picture.frame.out(box[None])[0].tolist(),
            "maps": [self._row(one) for one in self.maps],
            "null_maps": [
                {"method": one.name, "deletion": one.score("deletion"),
                 "insertion": one.score("insertion")}
                for one in self.nulls
            ],
        }  # fmt: skip

    def _row(self, one: Judged) -> dict[str, Any]:
        stages = self.randomised.get(one.name)
        return {
            "method": one.name, "layer": one.map.layer or None, "evidence": one.map.evidence,
            "deletion": one.score("deletion"), "insertion": one.score("insertion"),
            "beats_null_maps": not unbeaten(one, self.nulls),
            "not_beaten": unbeaten(one, self.nulls), "missed": one.map.missed,
            "randomised": None if stages is None else [
                {"down_to": s.layer, "rank_correlation": s.correlation, "evidence": s.evidence}
                for s in stages
            ],
        }  # fmt: skip


def unbeaten(one: Judged, nulls: Sequence[Judged]) -> dict[Measure, list[str]]:
    """Return by measure the null maps that a map is no better than; flat maps beat none."""
    made: dict[Measure, list[str]] = {}
    for measure, sign in (("deletion", 1), ("insertion", -1)):
        known: Measure = "deletion" if measure == "deletion" else "insertion"
        names = [
            null.name for null in nulls
            if not one.map.evidence or sign * (null.score(known) - one.score(known)) <= 0
        ]  # fmt: skip
        if names:
            made[known] = names
    return made


def explain(
    opened: Opened, picture: Picture, targets: Sequence[Target], methods: Sequence[str], *,
    layer: str | None = None, randomise: bool = False, seed: int = 0,
    progress: Progress | None = None,
) -> Explanation:  # fmt: skip
    """Compute maps of the first of some numbers, and judge each of them beside null maps.

    Parameters
    ----------
    opened : Opened
    picture : Picture
    targets : sequence of Target
        What `Opened.targets` returned: the first one is explained.
    methods : sequence of str
        Of `methods.METHODS`.
    layer : str, optional
        See `maps.explain`.
    randomise : bool
        Also draw the weights anew, layer by layer.
    seed : int
        Of all chance.
    progress : callable, optional
        Called with (pieces of work done, pieces in all).

    Raises
    ------
    UnknownNameError, ParameterError
        See `maps.explain`.
    """
    target = targets[0]
    pieces = len(methods) * (2 + STAGES * randomise) + len(NULLS) + DRAWS - 1
    done = 0

    def step(*_: Any) -> None:
        nonlocal done
        done += 1
        if progress:
            progress(min(done, pieces), pieces)

    made = maps.explain(
        opened, picture, target, methods, layer=layer, seed=seed, progress=step
    )  # fmt: skip
    judged = []
    with evaluating(opened.model):
        for one in made:
            judged.append(judge(opened, picture, target, one, seed))
            step()
        nulls = judge_nulls(opened, picture, target, made, seed, step)
    stages: dict[str, list[Stage]] = {}
    if randomise:
        stages = randomised(opened, picture, target, made, seed=seed, progress=step)
    if progress:
        progress(pieces, pieces)
    return Explanation(
        opened.name, opened.task, opened.note, picture, target, tuple(targets[1:]), judged, nulls,
        stages,
    )  # fmt: skip


def judge(
    opened: Opened, picture: Picture, target: Target, one: Map, seed: int = 0, steps: int = STEPS
) -> Judged:
    """Measure how an answer falls and rises with the pixels that a map shows.

    Parameters
    ----------
    opened : Opened
        In evaluation mode; see `evaluating`.
    picture : Picture
    target : Target
    one : Map
    seed : int
        Of the order of pixels that a map says the same of.
    steps : int
        Parts in which pixels are taken away and given back.
    """
    x = picture.x
    chance = np.random.default_rng(seed).permutation(one.values.size)
    order = np.lexsort((chance, -one.values.ravel()))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    ranks = torch.from_numpy(rank.reshape(one.values.shape)).to(x.device)
    shares = torch.linspace(0, 1, steps + 1, device=x.device)
    first = ranks < (shares * rank.size).round().view(-1, 1, 1, 1)
    curves = [
        _curve(opened, target, torch.where(first, to, begin))
        for begin, to in ((x, torch.zeros_like(x)), (_blurred(x), x))
    ]
    return Judged(one, *curves)


def _curve(opened: Opened, target: Target, images: Tensor) -> NDArray[np.float64]:
    return maps.numbers(opened, images, target.probability).double().cpu().numpy()


def _blurred(x: Tensor) -> Tensor:
    sigma = BLUR * max(x.shape[2:])
    width = 2 * round(2 * sigma) + 1
    if width > min(x.shape[2:]) or width < 3:  # reflection needs as many pixels
        width = 3
    made: Tensor = vision.gaussian_blur(x, [width, width], [sigma, sigma])
    return made


def judge_nulls(
    opened: Opened, picture: Picture, target: Target, made: Sequence[Map], seed: int = 0,
    step: Any = None, *, steps: int = STEPS, draws: int = DRAWS,
) -> list[Judged]:  # fmt: skip
    """Measure the null maps of a picture as `judge` does; of chance, the mean of several draws."""
    grid = next((one.grid for one in made if one.layer), None) or picture.size
    judged = []
    for name in NULLS:
        drawn = [
            judge(opened, picture, target, null_map(name, picture, grid, seed + i), seed, steps)
            for i in range(draws if name == "random" else 1)
        ]
        curves = [
            np.mean([getattr(d, c) for d in drawn], axis=0) for c in ("deletion", "insertion")
        ]
        judged.append(Judged(drawn[0].map, *curves))
        if step:
            step()
    return judged


def null_map(name: str, picture: Picture, grid: tuple[int, int], seed: int = 0) -> Map:
    """Draw a map that knows nothing of the network.

    Parameters
    ----------
    name : {"random", "gaussian", "edges"}
    picture : Picture
    grid : (height, width)
        Places that chance decides about: as many as the method that it stands beside has.
    seed : int
    """
    height, width = picture.size
    if name == "random":
        raw = np.random.default_rng(seed).random(grid)
    elif name == "gaussian":
        ys, xs = (np.linspace(-1, 1, side)[:, None] for side in (height, width))
        raw = np.exp(-(ys**2 + xs.T**2) / (2 * 0.5**2))
    else:
        from scipy import ndimage

        grey = picture.seen.mean(2)
        raw = np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1))
    values, _ = maps.scaled(torch.from_numpy(raw[None]), picture.size)
    return Map(name, values[0], grid=(raw.shape[0], raw.shape[1]))


def randomised(
    opened: Opened, picture: Picture, target: Target, made: Sequence[Map], *, seed: int = 0,
    progress: Any = None,
) -> dict[str, list[Stage]]:  # fmt: skip
    """Draw the weights of a network anew, from the head down, and compare its maps with the first.

    The weights of each convolution and linear layer are drawn from a normal distribution of their
    own mean and deviation; the network that was given stays as it is.

    Parameters
    ----------
    opened : Opened
    picture : Picture
    target : Target
    made : sequence of Map
        Of the trained network.
    seed : int
    progress : callable, optional
        Called after each map.
    """
    other = copy.copy(opened)
    other.model = copy.deepcopy(opened.model)
    chance = torch.Generator().manual_seed(seed)
    layers = [
        (name, module) for name, module in other.model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear | nn.ConvTranspose2d)
    ][::-1]  # fmt: skip
    stages: dict[str, list[Stage]] = {one.method: [] for one in made}
    for part in np.array_split(np.arange(len(layers)), min(STAGES, len(layers))):
        for i in part.tolist():
            weight = layers[i][1].weight.data
            drawn = torch.randn(weight.shape, generator=chance).to(weight.device, weight.dtype)
            weight.copy_(drawn * weight.std() + weight.mean())
        for one in made:
            (again,) = maps.explain(
                other, picture, target, [one.method], layer=one.layer or None, seed=seed
            )
            kept = rank_correlation(one.values, again.values)
            stages[one.method].append(Stage(layers[int(part[-1])][0], kept, again.evidence))
            if progress:
                progress()
    return stages


def rank_correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Compute Spearman's rank correlation of two maps (h, w); 0 where one is flat.

    Examples
    --------
    >>> rank_correlation(np.array([[1, 2], [3, 4]]), np.array([[1, 4], [9, 16]]))
    1.0
    """
    from scipy import stats

    ranks = [stats.rankdata(values) for values in (a, b)]
    ranks = [r - r.mean() for r in ranks]
    size = float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return round(float((ranks[0] * ranks[1]).sum() / size), 12) if size else 0.0
