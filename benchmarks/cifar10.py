"""Train networks on CIFAR-10 and record accuracy, epochs and seconds.

Without ``--runs`` each network is trained once, in its recipe or within ``--budget``. With it,
training is repeated with as many seeds, and mean and deviation are recorded; the first run warms up
and does not count. The JPEG files of some distributions of CIFAR-10 are lossy: say which were used.

``--speedrun N`` trains resnet9 by the recipe of that name on all training images, once to warm up
and then with seeds 0 to N-1. The clock runs from the decoded images in memory to the answers for
the test images, test-time augmentation included. ``--plain N`` trains torchvision's resnet18 in a
plain loop (see plain.py) on the same files, to tell what they allow.

    python benchmarks/cifar10.py --data NAME_OR_PATH [--models resnet9] [--budget 30m] [--runs 40]
    python benchmarks/cifar10.py --data NAME_OR_PATH --speedrun 40
    python benchmarks/cifar10.py --data NAME_OR_PATH --plain 1 [--epochs 30]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import mean, stdev
from typing import Any

import machine
import numpy as np
import plain
import torch
from rich.console import Console
from rich.progress import Progress

import sightline
from sightline.estimators import methods
from sightline.estimators.network import mean_and_std
from sightline.metrics.duration import human, seconds
from sightline.training import recipe as recipes
from sightline.training.labelled_recipe import LabelledRecipe

Run = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--models", nargs="+", default=["resnet9"])
    parser.add_argument("--budget")
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--speedrun", type=int, default=0, metavar="N")
    parser.add_argument("--plain", type=int, default=0, metavar="N")
    parser.add_argument("--limit", type=int, help="images of training and test, to try a mode")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--name", help="of the record; default: by mode")
    given = parser.parse_args()
    data = sightline.load_data(given.data)
    if given.speedrun:
        rows = [speedrun(*whole(data, given.limit), given)]
    elif given.plain:
        rows = [plain_loop(*whole(data, given.limit), given)]
    else:
        rows = [
            summary(name, repeated(given.runs, lambda seed, n=name: trained(n, data, given, seed)))
            for name in given.models
        ]
    screen = Console()
    for row in rows:
        spread = "" if row["deviation"] is None else f" (deviation {row['deviation']:.2%})"
        screen.print(
            f"{row['model']}: {row['accuracy']:.2%}{spread} on test in {human(row['seconds'])}, "
            f"{row['epochs']:g} epochs, {len(row['runs'])} runs"
        )
    mode = "-speedrun" if given.speedrun else "-plain" if given.plain else ""
    path = machine.record(
        given.name or f"cifar10{mode}", {"data": data.name, "rows": rows}, "lightning-fabric"
    )
    screen.print(f"recorded in {path.name}")


def repeated(runs: int, train: Callable[[int], Run]) -> list[Run]:
    """Runs with seeds from 0, after one that warms up; a single cold one where none is asked."""
    if not runs:
        return [train(0)]
    train(runs)
    return [train(seed) for seed in range(runs)]


def summary(name: str, runs: list[Run], **more: Any) -> Run:
    accuracies = [run["accuracy"] for run in runs]
    return {
        "model": name, "runs": runs, "accuracy": mean(accuracies),
        "deviation": stdev(accuracies) if len(accuracies) > 1 else None,
        "seconds": mean(run["seconds"] for run in runs), "epochs": runs[-1]["epochs"], **more,
    }  # fmt: skip


def trained(name: str, data: Any, given: argparse.Namespace, seed: int) -> Run:
    knobs: dict[str, Any] = {
        "compile": given.compile, "precision": given.precision, "device": given.device
    }  # fmt: skip
    if given.epochs:
        knobs["epochs"] = given.epochs
    model = sightline.create_model(name, data, seed=seed, **knobs)
    start = time.perf_counter()
    with Progress(transient=True) as progress:
        task = progress.add_task(name)
        model.fit(
            data.train, data.val,
            lambda done, total: progress.update(task, completed=done, total=total),
            budget=seconds(given.budget) if given.budget else None,
        )  # fmt: skip
    took = time.perf_counter() - start
    score = model.score(data.test)
    last = model.history[-1]
    return {
        "seed": seed, "accuracy": score.headline, "interval": score.interval, "seconds": took,
        "epochs": model.method_.recipe(32).epochs if not given.budget else model.options["epochs"],
        "images_per_second": last["images_per_second"], "waited": last["waited"],
        "validation": [row["val_accuracy"] for row in model.history],
    }  # fmt: skip


def whole(data: Any, limit: int | None) -> tuple[np.ndarray, ...]:
    """Images and labels in memory, validation added to training: X, y, X_test, y_test."""
    rows = np.sort(np.concatenate([data.rows["train"], data.rows.get("val", [])]).astype(int))
    splits = data.with_rows({"train": rows, "test": data.rows["test"]})
    found: list[np.ndarray] = []
    for split in (splits.train, splits.test):
        X, y, _ = split.arrays()
        some = np.random.default_rng(0).permutation(len(X))[:limit]
        found += [np.ascontiguousarray(X[some]), y[some]]
    return tuple(found)


def speedrun(
    X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray, given: argparse.Namespace
) -> Run:
    knobs = recipes.read("speedrun") | {"device": given.device}
    if given.epochs:
        knobs["epochs"] = given.epochs

    def run(seed: int) -> Run:
        network = methods.build("resnet9", knobs, seed)
        start = time.perf_counter()
        network.fit(X, y)
        fitted = time.perf_counter()
        answers = network.predict(X_test)
        end = time.perf_counter()
        return {
            "seed": seed, "accuracy": float((answers == y_test).mean()), "seconds": end - start,
            "answering_seconds": end - fitted, "epochs": knobs["epochs"],
        }  # fmt: skip

    return summary("resnet9", repeated(given.speedrun, run), recipe=knobs, images=len(X))


def plain_loop(
    X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray, given: argparse.Namespace
) -> Run:
    device = "cuda" if given.device != "cpu" and torch.cuda.is_available() else "cpu"
    recipe = LabelledRecipe(
        epochs=given.epochs or 30, lr=0.1, smoothing=0.1, precision=given.precision
    )  # fmt: skip
    fitted, workers = mean_and_std(X), 8 if device == "cuda" else 0
    test = plain.loader(
        plain.Decoded(X_test, y_test, *fitted, train=False), 500, 0, shuffle=False
    )  # fmt: skip

    def run(seed: int) -> Run:
        torch.manual_seed(seed)
        model = plain.small_resnet18(int(y.max()) + 1).to(device)
        batches = plain.loader(plain.Decoded(X, y, *fitted), recipe.batch_size, workers)
        epoch = plain.epochs(model, batches, recipe, device)
        start = time.perf_counter()
        for _ in range(round(recipe.epochs)):
            epoch()
        took = time.perf_counter() - start
        return {
            "seed": seed, "accuracy": plain.accuracy(model, test, device), "seconds": took,
            "epochs": round(recipe.epochs),
        }  # fmt: skip

    return summary("torchvision resnet18, plain loop", [run(s) for s in range(given.plain)])


if __name__ == "__main__":
    main()
