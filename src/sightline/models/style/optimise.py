"""Change a picture until it has the content of one picture and the style of others.

Gatys, Ecker & Bethge, A neural algorithm of artistic style, 2015: the loss
alpha L_content + beta L_style (equation 7) is lowered by moving the pixels, step by step. Beside it
stands the total variation, which smooths.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from sightline.errors import ParameterError, TrainingError
from sightline.models.style.losses import (
    Balance,
    content_distance,
    gram,
    style_distance,
    total_variation,
)
from sightline.models.style.perception import Perception

Optimizer = Literal["adam", "lbfgs"]
OPTIMIZERS: tuple[str, ...] = get_args(Optimizer)

HISTORY = 20
"""Steps that L-BFGS remembers; each takes the memory of two pictures."""


@dataclass(frozen=True)
class Style:
    """A picture whose style is taken.

    Parameters
    ----------
    picture : Tensor, shape (1, 3, H, W)
        In [0, 1], of any size: its places are averaged over.
    weight : float
        By which its distance is multiplied.
    guide : Tensor, shape (1, 1, H, W), optional
        Of the size of the content: where the style is to be, in [0, 1].
    """

    picture: Tensor
    weight: float = 1.0
    guide: Tensor | None = None


@dataclass(frozen=True)
class Losses:
    """The parts of the loss of a picture, before they are weighed.

    Parameters
    ----------
    content, style, variation : Tensor, scalar
        Means over layers; of several styles the mean by their weights.
    total : Tensor, scalar
        The weighed sum.
    by_layer : dict of str to Tensor
        The style's distance at each layer.
    """

    content: Tensor
    style: Tensor
    variation: Tensor
    total: Tensor
    by_layer: Mapping[str, Tensor] = field(default_factory=dict)


class Objective:
    """The loss of a picture: alpha content + beta style + variation.

    Parameters
    ----------
    perception : Perception
    content : Tensor, shape (1, 3, H, W)
        In [0, 1].
    styles : sequence of Style
        With positive weights, of which their shares are taken.
    alpha, beta, variation : float
        A term whose factor is 0 is not computed.
    balance : {"own", "paper"}
        See `losses`.
    """

    def __init__(
        self, perception: Perception, content: Tensor, styles: Sequence[Style], *,
        alpha: float = 1.0, beta: float = 100.0, variation: float = 0.0,
        balance: Balance = "own",
    ) -> None:  # fmt: skip
        self.perception, self.balance = perception, balance
        self.alpha, self.beta, self.variation = alpha, beta, variation
        self.styles = tuple(styles)
        self.shares = [one.weight / sum(s.weight for s in styles) for one in styles]
        layers = perception.layers
        with torch.no_grad():
            maps = perception(content)
            self.content = {name: maps[name] for name in layers.content}
            self.grams = []
            for style in self.styles:
                seen = perception(style.picture)
                self.grams.append({name: gram(seen[name]) for name in layers.style})
            self.guides = [_guides(style.guide, maps, layers.style) for style in self.styles]

    def __call__(self, picture: Tensor) -> Losses:
        """Compute the loss of a picture, shape (1, 3, H, W), in [0, 1]."""
        maps = self.perception(picture)
        zero = picture.new_zeros(())
        content = zero
        if self.alpha:
            content = torch.stack(
                [content_distance(maps[n], seen, self.balance) for n, seen in self.content.items()]
            ).mean()
        by_layer = dict[str, Tensor]()
        if self.beta:
            for name in self.perception.layers.style:
                by_layer[name] = torch.stack(
                    [
                        share * style_distance(gram(maps[name], g.get(name)), a[name], self.balance)
                        for share, a, g in zip(self.shares, self.grams, self.guides, strict=True)
                    ]
                ).sum()
        style = torch.stack(list(by_layer.values())).mean() if by_layer else zero
        smooth = total_variation(picture) if self.variation else zero
        total = self.alpha * content + self.beta * style + self.variation * smooth
        return Losses(content, style, smooth, total, by_layer)


def _guides(
    guide: Tensor | None, maps: Mapping[str, Tensor], names: Sequence[str]
) -> dict[str, Tensor]:
    """Bring a guide to the size of each layer's maps."""
    if guide is None:
        return {}
    return {
        name: functional.interpolate(guide, maps[name].shape[2:], mode="area") for name in names
    }


@dataclass(frozen=True)
class Step:
    """A picture on its way.

    Parameters
    ----------
    number : int
        From 1.
    picture : Tensor, shape (1, 3, H, W)
        In [0, 1], after the step; it is the one that goes on: copy it to keep it.
    losses : dict of str to float
        ``content``, ``style``, ``variation``, ``total``, and the style by layer as ``style
        LAYER``: of the picture before the step.
    """

    number: int
    picture: Tensor
    losses: Mapping[str, float]


def optimise(
    objective: Objective, start: Tensor, steps: int, *, optimizer: Optimizer = "adam",
    lr: float = 0.03, kept: Tensor | None = None,
) -> Iterator[Step]:  # fmt: skip
    """Lower the loss of a picture by moving its pixels.

    Parameters
    ----------
    objective : Objective
    start : Tensor, shape (1, 3, H, W)
        In [0, 1].
    steps : int
    optimizer : {"adam", "lbfgs"}
        L-BFGS, as the paper's authors use, needs fewer steps and more memory; each of its steps may
        compute the loss several times.
    lr : float
        Of Adam: about how far a pixel moves in a step, of 1.
    kept : Tensor, shape (1, 1, H, W), optional
        How much of each pixel moves, in [0, 1]: where it is 0 the start stays.

    Yields
    ------
    Step
        After each one.

    Raises
    ------
    TrainingError
        When the loss is no finite number any more.
    """
    picture = start.detach().clone(memory_format=torch.contiguous_format).requires_grad_(True)
    moved: Any
    if optimizer == "adam":
        moved = torch.optim.Adam([picture], lr, betas=(0.9, 0.99))
    else:
        moved = torch.optim.LBFGS(
            [picture], 1.0, max_iter=1, max_eval=10, history_size=HISTORY,
            line_search_fn="strong_wolfe",
        )  # fmt: skip
    rates = [_rate(number / steps) for number in range(steps)]
    for number, rate in enumerate(rates, 1):
        computed: list[Losses] = []

        def closure(computed: list[Losses] = computed) -> Tensor:
            moved.zero_grad()
            losses = objective(picture)
            losses.total.backward()  # type: ignore[no-untyped-call]
            if kept is not None and picture.grad is not None:
                picture.grad.mul_(kept)
            computed.append(losses)
            return losses.total

        if optimizer == "adam":
            for group in moved.param_groups:
                group["lr"] = lr * rate
        moved.step(closure)
        first = computed[0]
        numbers = {
            "content": first.content, "style": first.style, "variation": first.variation,
            "total": first.total, **{f"style {k}": v for k, v in first.by_layer.items()},
        }  # fmt: skip
        losses = {name: float(value.detach()) for name, value in numbers.items()}
        if not math.isfinite(losses["total"]) or not bool(picture.detach().isfinite().all()):
            bad = [name for name, value in losses.items() if not math.isfinite(value)]
            what = f" ({', '.join(bad)})" if bad else ""
            raise TrainingError(
                f"the loss is no finite number at step {number}{what}; take a smaller lr, or "
                "smaller alpha and beta"
            )
        with torch.no_grad():
            picture.clamp_(0, 1)
        yield Step(number, picture.detach(), losses)


def _rate(done: float) -> float:
    """Return the share of the learning rate after a share of the steps: it falls at the end."""
    return 1.0 if done < 0.5 else 0.1 + 0.9 * (1 + math.cos(math.pi * (2 * done - 1))) / 2


def stalled(totals: Sequence[float], share: float = 0.25, least: float = 1e-3) -> bool:
    """Tell whether a loss has not fallen by a share of itself over the last part of its steps.

    Parameters
    ----------
    totals : sequence of float
        The loss before each step.
    share : float
        Of the steps that are looked at.
    least : float
        Share of the loss that it should have fallen by.
    """
    last = max(int(len(totals) * share), 10)
    if len(totals) < 2 * last:
        return False
    before, after = min(totals[:-last]), min(totals[-last:])
    return before - after < least * abs(before)


def check(optimizer: str) -> Optimizer:
    """Return an optimiser by its name.

    Raises
    ------
    ParameterError
    """
    for known in get_args(Optimizer):
        if optimizer == known:
            return known  # type: ignore[no-any-return]
    raise ParameterError(f"optimizer is one of {', '.join(OPTIMIZERS)}, not {optimizer!r}")
