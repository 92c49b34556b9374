"""Examine a training before it begins: its learning rate, one batch, its time and memory.

Each leaves the network and its optimiser as they were.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from sightline.errors import ParameterError, TrainingError
from sightline.training.engine import Training
from sightline.training.feed import Batch
from sightline.training.labelled_feed import LabelledFeed
from sightline.types import Progress

LEARNED = 0.01
"""Loss below which a batch counts as learned by heart."""

_SMOOTH = 0.9
_FEW = 10  # steps of which a running mean is not yet one
_BLOWN_UP = 4.0  # times the least loss: the rate is too high
_TIMED = 6


@dataclass(frozen=True, slots=True)
class LrCurve:
    """The loss against a rising learning rate.

    Parameters
    ----------
    rates, losses : list of float
        Losses are averaged over the steps before, exponentially.
    suggestion : float
        Rate at which the loss falls fastest.
    """

    rates: list[float]
    losses: list[float]
    suggestion: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """The time and memory that a training will take.

    Parameters
    ----------
    input : tuple of int
        Shape of a batch, where it is one tensor.
    output : tuple of int
        Shape of what the network makes of it, where that is one tensor.
    parameters : int
    steps : int
    step_seconds, epoch_seconds, total_seconds : float
        Without validation.
    memory_mb : float
        Largest memory so far: of the graphics processor, or of this process.
    """

    input: tuple[int, ...]
    output: tuple[int, ...]
    parameters: int
    steps: int
    step_seconds: float
    epoch_seconds: float
    total_seconds: float
    memory_mb: float


def find_lr(
    training: Training,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 100,
    progress: Progress | None = None,
) -> LrCurve:
    """Raise the learning rate step by step until the loss explodes.

    Source: Smith, Cyclical learning rates for training neural networks, 2017, section 3.3.
    """
    rates, losses = [], []
    average = 0.0
    with training.untouched():
        training.model.train()
        batches = _endless(training)
        for step in range(steps):
            rate = low * (high / low) ** (step / (steps - 1))
            loss = float(training.advance(next(batches), rate / training.recipe.lr))
            if not math.isfinite(loss):
                break
            average = _SMOOTH * average + (1 - _SMOOTH) * loss
            rates.append(rate)
            losses.append(average / (1 - _SMOOTH ** (step + 1)))
            if progress:
                progress(step + 1, steps)
            if losses[-1] > _BLOWN_UP * min(losses):
                break
    if len(losses) < 5:
        raise TrainingError(f"the loss explodes at a learning rate of {low:g} already")
    return LrCurve(rates, losses, rates[_steepest(losses)])


def _steepest(losses: list[float]) -> int:
    """Return the step where losses fall fastest, before they are least."""
    until = int(np.argmin(losses)) + 1
    # The mean of the first steps is of few batches: what it falls by is these batches' difference.
    first = min(_FEW, until // 2)
    if until - first < 2:
        return until - 1
    return first + int(np.argmin(np.gradient(losses[first:until])))


def overfit_batch(
    training: Training, steps: int = 300, progress: Progress | None = None
) -> list[float]:
    """Learn one batch by heart; a network that cannot do so has a fault.

    The recipe of `training` should have its regularisers off.

    Returns
    -------
    list of float
        Loss of each step; the last is below what `learned_below` says when all is well.

    Raises
    ------
    ParameterError
        When the network says, by ``learns_by_heart``, that its loss cannot fall to nothing.
    """
    if not getattr(training.plain, "learns_by_heart", True):
        raise ParameterError(
            f"the loss of {type(training.plain).__name__} does not fall to nothing however well a "
            "batch is learned; find_lr=True and a short training tell more"
        )
    losses: list[float] = []
    with training.untouched(), _without_dropout(training.plain):
        training.model.train()
        batch = next(iter(training.feed.epoch(0)))
        for step in range(steps):
            losses.append(float(training.advance(batch, 1.0)))
            if progress:
                progress(step + 1, steps)
            if losses[-1] < learned_below(training, losses) or not math.isfinite(losses[-1]):
                break
    return losses


def learned_below(training: Training, losses: Sequence[float]) -> float:
    """Return the loss below which a batch has been learned by heart.

    A classifier's falls to nothing. A detector's is the sum of several, some of them of boxes that
    are drawn by chance in each step, and stays above: a tenth of the first is little then.

    Parameters
    ----------
    training : Training
    losses : sequence of float
        Of each step so far.
    """
    classifies = isinstance(training.feed, LabelledFeed)
    return LEARNED if classifies else max(LEARNED, losses[0] / 10)


def estimate(training: Training) -> Estimate:
    """Time a few steps and estimate the whole training."""
    seen: list[Any] = []
    handle = training.plain.register_forward_hook(lambda _, given, made: seen.append((given, made)))
    with training.untouched():
        training.model.train()
        times = []
        for batch in training.feed.epoch(0):
            start = time.perf_counter()
            training.advance(batch, 0.0)
            times.append(time.perf_counter() - start)
            if len(times) == _TIMED:
                break
        handle.remove()
        shape_in, shape_out = _shapes(training.plain, seen)
    step = float(np.median(times[1:] or times))
    size = training.recipe.batch_size
    return Estimate(
        input=(min(size, training.feed.n), *shape_in) if shape_in else (),
        output=(min(size, training.feed.n), *shape_out) if shape_out else (),
        parameters=sum(p.numel() for p in training.plain.parameters()),
        steps=training.steps,
        step_seconds=step,
        epoch_seconds=step * training.feed.steps,
        total_seconds=step * training.steps,
        memory_mb=_memory(training.fabric.device),
    )


def _shapes(model: nn.Module, seen: list[Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of one image and of what the network makes of it; empty for no tensor.

    Parameters
    ----------
    model : Module
    seen : list of (what it was given, images first, and what it made of that in training)
        What is no tensor in training, such as a detector's losses, is none in evaluation either.
    """
    if not seen or not isinstance(seen[-1][0][0], torch.Tensor):
        return (), ()
    (images, *more), made = seen[-1]
    if isinstance(made, Mapping):
        return tuple(images.shape[1:]), ()
    model.eval()
    weights = next(model.parameters()).dtype  # to learn with, images may have half the bits
    with torch.inference_mode():
        output = model(images[:1].to(weights), *(part[:1] for part in more))
    shape_out = tuple(output.shape[1:]) if isinstance(output, torch.Tensor) else ()
    return tuple(images.shape[1:]), shape_out


def _memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    from sightline.metrics import cost

    return cost.peak_mb()


@contextmanager
def _without_dropout(model: nn.Module) -> Iterator[None]:
    dropouts = [(m, m.p) for m in model.modules() if isinstance(m, nn.Dropout)]
    try:
        for layer, _ in dropouts:
            layer.p = 0.0
        yield
    finally:
        for layer, p in dropouts:
            layer.p = p


def _endless(training: Training) -> Iterator[Batch]:
    epoch = 0
    while True:
        yield from training.feed.epoch(epoch)
        epoch += 1
