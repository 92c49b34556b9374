"""Train a `Network`: shuffle, step, measure, and stop early."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ParameterError, TrainingError
from sightline.metrics.overfitting import far_behind, find_overfitting
from sightline.models.backprop.gradient_check import numeric_gradient
from sightline.models.backprop.losses import Loss
from sightline.models.backprop.network import Network
from sightline.models.backprop.optimizers import OPTIMIZERS, AdamW, Optimizer
from sightline.models.backprop.penalties import L1, L2, Penalty
from sightline.types import Progress

Array = NDArray[Any]
Schedule = Literal["cosine", "step", "constant"]
Rule = Literal["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]

MEASURED = 5000
"""Training images on which loss and accuracy are measured after each epoch, at most."""
PILOT = 5
"""Steps that are timed to foretell how long an epoch takes."""
LONGEST_NUMERIC = 3600.0
"""Seconds of numeric training beyond which it is refused."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a NumPy network's training; see `mlp.MLPClassifier` for each knob."""

    epochs: int = 20
    batch_size: int = 0
    usual_batch: int = 128
    optimizer: Rule = "adam"
    learning_rate: float = 0.0
    schedule: Schedule = "cosine"
    l1: float = 0.0
    l2: float = 0.0
    patience: int = 0
    flip: bool = False
    gradient: Literal["backprop", "numeric"] = "backprop"
    seed: int = 0

    def check(self) -> None:
        """Refuse values that make no sense.

        Raises
        ------
        ParameterError
        """
        if self.epochs < 1:
            raise ParameterError(f"epochs must be at least 1, not {self.epochs}")
        if self.batch_size < 0:
            raise ParameterError(
                f"batch_size must be 1 or more (0: automatic), not {self.batch_size}"
            )
        if self.optimizer not in OPTIMIZERS:
            raise ParameterError(f"optimizer must be one of {', '.join(OPTIMIZERS)}")
        if self.schedule not in ("cosine", "step", "constant"):
            raise ParameterError(
                f"schedule must be cosine, step or constant, not {self.schedule!r}"
            )
        if self.gradient not in ("backprop", "numeric"):
            raise ParameterError(f"gradient must be backprop or numeric, not {self.gradient!r}")
        L1(self.l1), L2(self.l2)  # refuse a strength below 0
        if not (0 <= self.learning_rate < math.inf and self.patience >= 0):
            raise ParameterError("learning_rate and patience must be finite and 0 or more")

    def make_optimizer(self, network: Network) -> Optimizer:
        """Return the optimiser, at its usual rate where none is given."""
        rule, usual = OPTIMIZERS[self.optimizer]
        rate = self.learning_rate or usual
        return AdamW(rate, self.l2, network.weights) if rule is AdamW else rule(rate)

    def batch(self, images: int) -> int:
        """Return the images a step: as given, else the usual, but at least 40 steps an epoch."""
        return self.batch_size or min(self.usual_batch, max(16, images // 40))

    def penalties(self) -> list[Penalty]:
        """Return what is added to the loss; under AdamW, l2 is decay and no penalty."""
        lasso: list[Penalty] = [L1(self.l1)] if self.l1 else []
        return [*lasso, L2(self.l2)] if self.l2 and self.optimizer != "adamw" else lasso

    def rate(self, done: float) -> float:
        """Return the rate's share of the highest when a share of the training is done, in [0, 1].

        ``cosine`` falls along half a cosine wave to 0 (Loshchilov & Hutter, SGDR, 2017);
        ``step`` to a tenth after 60% and a hundredth after 85%.
        """
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        if self.schedule == "step":
            return 1.0 if done < 0.6 else 0.1 if done < 0.85 else 0.01
        return 1.0


@dataclass(slots=True)
class Trained:
    """The history and remarks of a training.

    Parameters
    ----------
    history : list of dict
        One an epoch: ``epoch``, ``train_loss``, ``train_accuracy``, ``val_loss``,
        ``val_accuracy`` (where there is validation data) and ``seconds``. Both are measured
        after the epoch and without dropout, so that they can be compared.
    remarks : list of str
        Overfitting, an early stop, divergence, in words.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Examples:
    """Images and their classes.

    Parameters
    ----------
    X : array, shape (N, ...)
    y : int64 array, shape (N,)
        Rows of the network's output.
    """

    X: Array
    y: NDArray[np.int64]


def train(
    network: Network, loss: Loss, plan: Plan, data: Examples,
    val: Examples | None = None, progress: Progress | None = None,
) -> Trained:  # fmt: skip
    """Train a network in place.

    Parameters
    ----------
    network : Network
    loss : Loss
    plan : Plan
    data, val : Examples
    progress : callable, optional
        Called with (images seen, images to be seen).

    Returns
    -------
    Trained
        With validation data the network is left with the weights of the epoch that answered best
        on them (of equals that of least loss; with patience that of least loss). When a step
        diverges, the epoch is lost, and a remark says so.

    Raises
    ------
    TrainingError
        When the loss is not finite in the first epoch; names the layer.
    ParameterError
        When early stopping lacks validation data, or numeric differentiation would not
        end within the hour.
    """
    if plan.patience and val is None:
        raise ParameterError("patience=... needs validation images; give X_val and y_val")
    rng = np.random.default_rng(plan.seed)
    optimizer, penalties = plan.make_optimizer(network), plan.penalties()
    top_rate = optimizer.learning_rate
    n, result = len(data.y), Trained()
    batches = max(1, round(n / plan.batch(n)))
    if plan.gradient == "numeric":
        _refuse_endless(network, loss, plan, data, batches)
    some = rng.permutation(n)[:MEASURED]
    probe = Examples(data.X[some], data.y[some])
    last_finite, best_loss, best_epoch = network.snapshot(), math.inf, 0
    best, best_figures, kept = last_finite, (-math.inf, -math.inf), 0
    for epoch in range(1, plan.epochs + 1):
        began = time.perf_counter()
        finite = True
        for k, rows in enumerate(np.array_split(rng.permutation(n), batches)):
            done = (epoch - 1 + k / batches) / plan.epochs
            optimizer.learning_rate = top_rate * plan.rate(done)
            x = _flipped(data.X[rows], rng) if plan.flip else data.X[rows]
            with np.errstate(all="ignore"):
                value = differentiate(network, loss, x, data.y[rows], plan.gradient)
                finite = math.isfinite(value)
                if not finite:
                    break
                for penalty in penalties:
                    w = slice(network.weights)
                    penalty.add_gradient(network.theta[w], network.gradient[w])
                optimizer.step(network.theta, network.gradient)
            if progress:
                progress((epoch - 1) * n + round(n * (k + 1) / batches), plan.epochs * n)
        row: dict[str, Any] = {"epoch": epoch}
        if finite:
            row |= _measured(network, loss, probe, "train")
            row |= _measured(network, loss, val, "val") if val is not None else {}
            finite = all(math.isfinite(v) for v in row.values())
        if not finite:
            _stop_diverged(network, data, epoch, last_finite, result)
            break
        result.history.append(row | {"seconds": time.perf_counter() - began})
        last_finite = network.snapshot()
        if val is not None and not plan.patience:
            figures = (row["val_accuracy"], -row["val_loss"])
            if figures > best_figures:
                best_figures, kept, best = figures, epoch, last_finite
        if plan.patience:
            if row["val_loss"] < best_loss:
                best_loss, best_epoch, best = row["val_loss"], epoch, last_finite
            elif epoch - best_epoch >= plan.patience:
                result.remarks.append(
                    f"stopped early after epoch {epoch}: the validation loss is lowest "
                    f"({best_loss:.4g}) after epoch {best_epoch}, whose weights are kept"
                )
                break
    if plan.patience and best_epoch:
        network.restore(best)
    elif kept:
        network.restore(best)
        if remark := far_behind(result.history, kept):
            result.remarks.append(remark)
    if overfitting := find_overfitting(result.history):
        result.remarks.append(str(overfitting))
    return result


def affordable(
    network: Network, loss: Loss, plan: Plan, data: Examples, val: Examples | None,
    seconds: float,
) -> int:  # fmt: skip
    """Return the epochs, from 1 to the plan's, that end within so many seconds.

    A few steps and a measurement are timed on a copy, so that the training itself is as it
    would be without a limit.
    """
    copied = copy.deepcopy(network)
    optimizer, n = plan.make_optimizer(copied), len(data.y)
    size = min(plan.batch(n), n)
    times = []
    with np.errstate(all="ignore"):
        for k in range(PILOT):
            rows = np.arange(k * size, (k + 1) * size) % n
            began = time.perf_counter()
            differentiate(copied, loss, data.X[rows], data.y[rows], plan.gradient)
            optimizer.step(copied.theta, copied.gradient)
            times.append(time.perf_counter() - began)
        began = time.perf_counter()
        copied.forward(data.X[:size])
        forward = (time.perf_counter() - began) / size
    looked_at = min(n, MEASURED) + (len(val.y) if val is not None else 0)
    epoch = float(np.median(times[1:])) * n / size + forward * looked_at
    return max(1, min(plan.epochs, int(0.95 * (seconds - sum(times)) / epoch)))


def differentiate(
    network: Network, loss: Loss, x: Array, labels: NDArray[np.int64], how: str = "backprop"
) -> float:
    """Set the network's gradient on a batch by the chosen method, and return the loss.

    Parameters
    ----------
    x : array, shape (N, ...)
    labels : int64 array, shape (N,)
    how : {"backprop", "numeric"}
    """
    value = loss.forward(network.forward(x, training=True), labels)
    if how == "backprop":
        network.backward(loss.backward())
    else:
        with network.frozen():  # the same dropout masks on both sides of each difference
            network.gradient[...] = numeric_gradient(
                lambda: loss.forward(network.forward(x, training=True), labels), network.theta
            )
    return value


def outputs(network: Network, X: Array, batch: int = 500) -> Array:
    """Compute outputs for many images, a batch at a time: shape (N, C)."""
    parts = [network.forward(X[i : i + batch]) for i in range(0, len(X), batch)]
    return np.concatenate(parts) if parts else np.empty((0, *network.shapes[-1]), X.dtype)


def _measured(network: Network, loss: Loss, data: Examples, name: str) -> dict[str, float]:
    with np.errstate(all="ignore"):
        out = outputs(network, data.X)
        return {
            f"{name}_loss": loss.forward(out, data.y),
            f"{name}_accuracy": float((out.argmax(1) == data.y).mean()),
        }


def _flipped(x: Array, rng: np.random.Generator) -> Array:
    """Mirror a random half of the images (N, H, W, C) left to right, in place."""
    chosen = rng.random(len(x)) < 0.5
    x[chosen] = x[chosen, :, ::-1]
    return x


def _stop_diverged(
    network: Network, data: Examples, epoch: int, last_finite: dict[str, Array], result: Trained
) -> None:
    """Go back to the last finite weights, with a remark."""
    with np.errstate(all="ignore"):
        where = network.first_not_finite(data.X[:32])
    network.restore(last_finite)
    what = f"training diverged in epoch {epoch}: {where} is not finite"
    mend = "lower the learning rate"
    if epoch == 1:
        raise TrainingError(f"{what}; {mend}")
    result.remarks.append(f"{what}: stopped, and the epoch is lost; {mend}")


def _refuse_endless(network: Network, loss: Loss, plan: Plan, data: Examples, batches: int) -> None:
    size = plan.batch(len(data.y))
    x, labels = data.X[:size], data.y[:size]
    began = time.perf_counter()
    with network.frozen():
        loss.forward(network.forward(x), labels)
    each = time.perf_counter() - began
    seconds = each * 2 * network.theta.size * batches * plan.epochs
    if seconds > LONGEST_NUMERIC:
        raise ParameterError(
            f"numeric differentiation of {network.theta.size:,} parameters would take about "
            f"{seconds / 3600:,.0f} hours; lower hidden or epochs, or take gradient='backprop'"
        )
