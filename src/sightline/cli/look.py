"""Run ``sightline train MODEL DATA --dry-run | --find-lr | --overfit-batch``: look, not train."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from sightline.cli import console
from sightline.counting import counted
from sightline.data.dataset import Split
from sightline.estimators.base import Estimator
from sightline.metrics.duration import human
from sightline.report import curves
from sightline.training import probe

NO_REGULARISERS = {
    "weight_decay": 0.0, "smoothing": 0.0, "shift": 0, "flip": "none", "cutout": 0, "erase": 0.0,
    "mixup": 0.0, "cutmix": 0.0, "augment": "none", "schedule": "constant", "warmup": 0.0,
}  # fmt: skip


def without_regularisers(knobs: type[Any]) -> dict[str, Any]:
    """Return the knobs of a training that regularise, switched off; those that its task has."""
    known = {field.name for field in dataclasses.fields(knobs)}
    return {name: value for name, value in NO_REGULARISERS.items() if name in known}


def dry_run(model: Estimator, train: Split, *, json: bool) -> int:
    """Print what a training will take."""
    cost = probe.estimate(model.training(train))
    if json:
        console.print_json(dataclasses.asdict(cost))
        return 0
    screen = console.out()
    if cost.input:
        given, made = (" x ".join(map(str, shape)) for shape in (cost.input, cost.output))
        screen.print(f"a batch of {given}" + (f" gives {made}" if made else ""))
    screen.print(
        f"{counted(cost.parameters, 'parameter')}; {cost.memory_mb:,.0f} MiB at the most so far"
    )
    screen.print(
        f"{counted(cost.steps, 'step')} of {human(cost.step_seconds)}: "
        f"{human(cost.epoch_seconds)} an epoch, {human(cost.total_seconds)} in all, without "
        "validation"
    )
    return 0


def overfit_batch(model: Estimator, train: Split, *, json: bool) -> int:
    """Learn one batch by heart; return exit status 1 when that fails."""
    with console.bar("learning one batch") as report:
        training = model.training(train)
        losses = probe.overfit_batch(training, progress=report)
    learned = math.isfinite(losses[-1]) and losses[-1] < probe.learned_below(training, losses)
    if json:
        console.print_json({"learned": learned, "losses": losses})
    elif learned:
        console.out().print(f"learned: loss {losses[-1]:.4f} after {counted(len(losses), 'step')}")
    else:
        console.out().print(
            f"not learned: loss {losses[-1]:.4f} after {counted(len(losses), 'step')}; the "
            "network, its labels or the learning rate (--lr) are wrong"
        )
    return 0 if learned else 1


def find_lr(model: Estimator, train: Split, output: Path | None, *, json: bool) -> int:
    """Draw loss against learning rate, and print where it falls fastest."""
    with console.bar("raising the learning rate") as report:
        curve = probe.find_lr(model.training(train), progress=report)
    target = output or Path(f"lr-{model.name}.png")
    target = console.save_picture(
        curves.learning_rates(curve, f"{model.name} on {train.data.name}"), target
    )
    if json:
        console.print_json(dataclasses.asdict(curve) | {"picture": str(target)})
        return 0
    screen = console.out()
    screen.print(f"the loss falls fastest at a learning rate of {curve.suggestion:.2g}")
    screen.print(f"picture: {target}", soft_wrap=True)
    return 0
