"""Draw a picture in the style of others, from files to pixels, coarse to fine."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data import images
from sightline.errors import DataError, ParameterError, WeightsError
from sightline.models import carried
from sightline.models.device import present

if TYPE_CHECKING:
    from torch import Tensor

    from sightline.models.style.perception import Layers, Perception

LEAST, MOST = 64, 4096
"""Pixels of the longer side that a picture can be drawn at: of fewer there are no places to compare
styles at; for more there is no memory."""

COARSE = 320
"""Pixels of the longer side that the largest forms are laid out at, before they are refined."""

FEWEST = 24
"""Steps at each finer size at least."""

ADAM_FROM = 700
"""Pixels of the longer side from which L-BFGS, which remembers many pictures, is not taken."""

VGG, BUNDLED = "vgg19", "efficientnet_lite0"
"""The paper's network, and the one whose weights a package carries."""

STARTS = ("content", "style", "noise")


@dataclass(frozen=True)
class Wanted:
    """What is asked of a transfer.

    Parameters
    ----------
    alpha, beta, variation : float
        Factors of content, style and total variation.
    content_layers, style_layers : tuple of str
        Empty: those that suit the network.
    network : str
        ``auto``: VGG19 if its weights are at hand, else the bundled EfficientNet-Lite0;
        ``imagenet:NAME``, ``torchvision:NAME``, ``timm:NAME``, or a run's folder.
    size : int
        Pixels of the longer side of the result.
    steps : int
        At the coarsest size; each finer one takes half of the last.
    optimizer : str
        ``auto``, ``adam`` or ``lbfgs``.
    lr : float
        Of Adam.
    start : {"content", "style", "noise"}
    style_size : float
        Size of the style's strokes, as a share of those that it has at the content's size.
    preserve_color : bool
        Keep the colours of the content.
    balance : {"own", "paper"}
        What distances are divided by; see `sightline.models.style.losses`.
    weights : tuple of float
        Of the styles; empty: all alike.
    seed : int

    Raises
    ------
    ParameterError
        When a value cannot be used.
    """

    alpha: float = 1.0
    beta: float = 30.0
    variation: float = 10.0
    content_layers: tuple[str, ...] = ()
    style_layers: tuple[str, ...] = ()
    network: str = "auto"
    size: int = 512
    steps: int = 200
    optimizer: str = "auto"
    lr: float = 0.03
    start: str = "content"
    style_size: float = 1.0
    preserve_color: bool = False
    balance: str = "own"
    weights: tuple[float, ...] = ()
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "variation"):
            value = getattr(self, name)
            if not 0 <= value < np.inf:
                raise ParameterError(f"{name} must be a number from 0 on, not {value}")
        if not self.alpha and not self.beta:
            raise ParameterError("alpha and beta are both 0, so there is nothing to draw")
        if not LEAST <= self.size <= MOST:
            raise ParameterError(f"size must be from {LEAST} to {MOST} pixels, not {self.size}")
        if self.steps < 1:
            raise ParameterError(f"steps must be at least 1, not {self.steps}")
        if not 0 < self.lr < np.inf:
            raise ParameterError(f"lr must be above 0, not {self.lr}")
        if not 0.1 <= self.style_size <= 10:
            raise ParameterError(f"style_size must be from 0.1 to 10, not {self.style_size}")
        if self.start not in STARTS:
            raise ParameterError(f"start is one of {', '.join(STARTS)}, not {self.start!r}")
        if self.optimizer not in ("auto", "adam", "lbfgs"):
            raise ParameterError(
                f"optimizer is one of auto, adam and lbfgs, not {self.optimizer!r}"
            )
        if any(not 0 < weight < np.inf for weight in self.weights):
            raise ParameterError("weights of styles must be above 0")


@dataclass(frozen=True)
class Stage:
    """A size that the picture is drawn at.

    Parameters
    ----------
    size : (height, width)
    steps : int
    optimizer : str
    """

    size: tuple[int, int]
    steps: int
    optimizer: str


@dataclass
class Drawn:
    """A picture in the style of others.

    Parameters
    ----------
    pixels : uint8 array, shape (H, W, 3)
    network : str
        That it was seen through.
    layers : Layers
    stages : list of Stage
    history : list of dict
        The losses before each step, with the number of the step and the longer side.
    notes : list of str
        What the reader should know.
    """

    pixels: NDArray[np.uint8]
    network: str
    layers: Layers
    stages: list[Stage]
    history: list[dict[str, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


OnStep = Callable[[int, int, "Callable[[], NDArray[np.uint8]]"], None]
"""Called with (steps done, steps in all, what gives the picture of now)."""


def transfer(
    content: Any, styles: Sequence[Any], wanted: Wanted | None = None, *,
    masks: Sequence[Any] = (), on_step: OnStep | None = None,
) -> Drawn:  # fmt: skip
    """Draw the content of one picture in the style of others (Gatys et al., 2015).

    Parameters
    ----------
    content : path, PIL image or uint8 array
    styles : sequence of the same
    wanted : Wanted, optional
    masks : sequence of the same
        Where a style is to be: white. One for all styles, or one for each; elsewhere the content
        stays.
    on_step : callable, optional

    Returns
    -------
    Drawn

    Raises
    ------
    DataError
        When a picture cannot be read, is too small, or a style is the content itself.
    ParameterError, UnknownNameError
        When numbers of weights or masks do not fit, or there is no such layer.
    WeightsError, MissingExtraError
        When there is no trained network.
    TrainingError
        When the loss is no finite number any more.
    """
    from sightline.models.style import colors
    from sightline.models.style.losses import check_balance
    from sightline.models.style.optimise import Objective, Style, check, optimise, stalled

    wanted = wanted or Wanted()
    balance = check_balance(wanted.balance)
    if not styles:
        raise ParameterError("name at least one picture whose style is taken")
    if wanted.weights and len(wanted.weights) != len(styles):
        raise ParameterError(
            f"{len(wanted.weights)} weights for {len(styles)} styles; give one for each"
        )
    if len(masks) not in (0, 1, len(styles)):
        raise ParameterError(f"{len(masks)} masks for {len(styles)} styles; give one, or one each")
    shown = images.as_array(content)
    notes = _check_content(shown, content, wanted.size)
    seen = [_style_of(style, shown, content) for style in styles]
    guides = [_guide_of(mask, shown.shape[:2], content) for mask in masks]
    device = present(wanted.device)
    perception, name = perceive(wanted.network, wanted.content_layers, wanted.style_layers)
    perception.to(device)
    stages = plan(shown.shape[:2], wanted)
    drawn = Drawn(shown, name, perception.layers, stages, notes=notes)
    weights = wanted.weights or (1.0,) * len(styles)
    picture: Tensor | None = None
    done, total = 0, sum(stage.steps for stage in stages)
    for stage in stages:
        target = _tensor(shown, stage.size).to(device)
        looks = [
            _tensor(style, _like(style, stage.size, wanted.style_size)).to(device) for style in seen
        ]
        soft = [_tensor(guide, stage.size)[:, :1].to(device) for guide in guides]
        if wanted.preserve_color:
            looks = [colors.like(look, target) for look in looks]
            content_seen = colors.luminance(target)
        else:
            content_seen = target
        each = soft if len(soft) == len(looks) else soft * len(looks)
        parts = [
            Style(look, weight, each[i] if each else None)
            for i, (look, weight) in enumerate(zip(looks, weights, strict=True))
        ]
        objective = Objective(
            perception, content_seen, parts, alpha=wanted.alpha, beta=wanted.beta,
            variation=wanted.variation, balance=balance,
        )  # fmt: skip
        start = (
            _start(wanted, content_seen, looks[0])
            if picture is None
            else _enlarged(picture, stage.size)
        )
        where = sum(soft).clamp(0, 1) if soft else None  # type: ignore[union-attr]
        if where is not None:
            start = start * (where > 0) + content_seen * (where == 0)

        def finished(
            x: Tensor, target: Tensor = target, where: Tensor | None = where
        ) -> NDArray[np.uint8]:
            if wanted.preserve_color:
                x = colors.coloured(x, target)
            return _pixels(x if where is None else x * where + target * (1 - where))

        totals = []
        for step in optimise(
            objective, start, stage.steps, optimizer=check(stage.optimizer), lr=wanted.lr,
            kept=where,
        ):  # fmt: skip
            picture, done = step.picture, done + 1
            totals.append(step.losses["total"])
            drawn.history.append({"step": done, "side": max(stage.size), **step.losses})
            if on_step is not None:
                on_step(done, total, functools.partial(finished, picture))
        assert picture is not None  # a stage has a step at least
        drawn.pixels = finished(picture)
        if stage is stages[0] and stalled(totals):
            drawn.notes.append(
                f"the loss did not fall any more in the last quarter of {stage.steps} steps: more "
                "steps would change little; another beta, lr or start would"
            )
    return drawn


def perceive(
    network: str = "auto", content: Sequence[str] = (), style: Sequence[str] = ()
) -> tuple[Perception, str]:
    """Load the network that pictures are seen through, with its layers.

    Parameters
    ----------
    network : str
        See `Wanted`.
    content, style : sequence of str
        Layers; empty: those that suit the network.

    Returns
    -------
    perception : Perception
    name : str
        Of the network.

    Raises
    ------
    WeightsError, MissingExtraError, ParameterError, UnknownNameError
    """
    from sightline.estimators.backbone import load_backbone
    from sightline.models.style.perception import Perception, chosen, usual_layers
    from sightline.models.weights import at_hand

    if network == "auto":
        network = next((f"imagenet:{n}" for n in (VGG, BUNDLED) if at_hand(n)), "")
        if not network:
            raise WeightsError(
                f"there is no trained network to see styles through: {carried.INSTALL} brings "
                f"EfficientNet-Lite0; imagenet:{VGG} is downloaded when it is named"
            )
    loaded = load_backbone(network).network
    name = network.rpartition(":")[2]
    if len(loaded.mean_) != 3:
        raise ParameterError(f"{network} sees grey pictures; styles need a network of colours")
    layers = chosen(usual_layers(name, loaded.model), content, style)
    mean, std = loaded.mean_.tolist(), loaded.std_.tolist()
    return Perception(loaded.model, mean, std, layers), network


def plan(picture: tuple[int, ...], wanted: Wanted) -> list[Stage]:
    """Return the sizes that a picture is drawn at, coarse to fine.

    Parameters
    ----------
    picture : (height, width)
        Of the content.
    wanted : Wanted
    """
    sides = [wanted.size]
    while sides[0] > COARSE:
        sides.insert(0, max(round(sides[0] / 2), LEAST))
    stages = []
    for number, side in enumerate(sides):
        steps = wanted.steps if number == 0 else max(wanted.steps >> number, FEWEST)
        steps = min(steps, wanted.steps)
        optimizer = wanted.optimizer
        if optimizer == "auto" or side > ADAM_FROM:
            optimizer = "adam"
        stages.append(Stage(_sized(picture, side), steps, optimizer))
    return stages


def _sized(picture: tuple[int, ...], side: int) -> tuple[int, int]:
    """Return the size of a picture (height, width) whose longer side has so many pixels."""
    scale = side / max(picture[:2])
    return max(round(picture[0] * scale), 1), max(round(picture[1] * scale), 1)


def _like(style: NDArray[np.uint8], size: tuple[int, int], share: float) -> tuple[int, int]:
    """Return the size of a style whose strokes have the size that is asked for."""
    side = min(max(round(max(size) * share), LEAST), MOST)
    return _sized(style.shape, side)


def _check_content(shown: NDArray[np.uint8], content: Any, size: int) -> list[str]:
    height, width = shown.shape[:2]
    name = _name(content, "the content")
    if min(height, width) < 8:
        raise DataError(f"{name}: {width} x {height} pixels are too few to have a content")
    smaller = _sized(shown.shape, size)
    if min(smaller) < LEAST // 4:
        raise DataError(
            f"{name}: {width} x {height} pixels are too narrow to be drawn at a size of {size}"
        )
    if max(height, width) == size:
        return []
    what = "enlarged" if max(height, width) < size else "scaled down"
    return [
        f"{name} is {what} from {width:,} x {height:,} to {smaller[1]:,} x {smaller[0]:,} pixels; "
        f"size=... sets the longer side, up to {MOST:,}"
    ]


def _style_of(style: Any, shown: NDArray[np.uint8], content: Any) -> NDArray[np.uint8]:
    """Read a style, and refuse the content itself."""
    pixels = images.as_array(style)
    if min(pixels.shape[:2]) < 8:
        height, width = pixels.shape[:2]
        raise DataError(
            f"{_name(style, 'the style')}: {width} x {height} pixels are too few to have a style"
        )
    if pixels.shape == shown.shape and np.array_equal(pixels, shown):
        raise DataError(
            f"{_name(style, 'the style')} is the same picture as {_name(content, 'the content')}: "
            "there is no style to transfer"
        )
    return pixels


def _guide_of(mask: Any, size: tuple[int, ...], content: Any) -> NDArray[np.uint8]:
    """Read a mask of the content."""
    pixels = images.as_array(mask)
    name = _name(mask, "the mask")
    if pixels.shape[:2] != size:
        (h, w), (ch, cw) = pixels.shape[:2], size
        raise DataError(
            f"{name}: {w} x {h} pixels, but {_name(content, 'the content')} has {cw} x {ch}; a "
            "mask has the size of the content"
        )
    if not pixels.any():
        raise DataError(f"{name} is black everywhere, so that no style would be seen")
    return pixels


def _name(picture: Any, otherwise: str) -> str:
    return str(picture) if isinstance(picture, str) or hasattr(picture, "parts") else otherwise


def _tensor(pixels: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """Return a picture as floats (1, 3, H, W) in [0, 1], of a size."""
    import torch

    resized = images.as_array(images.resize(images.as_picture(pixels), size, "stretch"))
    return torch.from_numpy(resized.copy()).permute(2, 0, 1)[None].float() / 255


def _enlarged(picture: Tensor, size: tuple[int, int]) -> Tensor:
    from torch.nn import functional

    larger = functional.interpolate(picture, size, mode="bicubic", align_corners=False)
    return larger.clamp(0, 1)


def _start(wanted: Wanted, content: Tensor, style: Tensor) -> Tensor:
    import torch

    if wanted.start == "content":
        return content
    if wanted.start == "style":
        return _enlarged(style, (content.shape[2], content.shape[3]))
    chance = torch.Generator().manual_seed(wanted.seed)
    return torch.rand(content.shape, generator=chance).to(content.device)


def _pixels(picture: Tensor) -> NDArray[np.uint8]:
    """Return a picture (1, 3, H, W) in [0, 1] as bytes (H, W, 3)."""
    pixels: NDArray[np.uint8] = (
        (picture[0].permute(1, 2, 0) * 255).round().clamp(0, 255).byte().cpu().numpy()
    )
    return pixels
