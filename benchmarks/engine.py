"""The training engine beside a plain PyTorch loop: images a second, and accuracy.

The plain loop is what torchvision's reference scripts do (see plain.py). Both train resnet18 on the
same images in the same batches, in turns, one process: at 32 pixels in its small form, at 224 as
published. Then both train it from the same first weights for the same epochs on real images, with
several seeds; the differences in validation accuracy are given with their standard error.

    python benchmarks/engine.py [--steps 6] [--repeats 3] [--sides 32 224]
        [--data digits] [--images 2000] [--epochs 4] [--seeds 4]
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from statistics import mean, median, stdev
from typing import Any

import machine
import numpy as np
import plain
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

import sightline
from sightline.estimators.classify_network import cross_entropy
from sightline.estimators.network import mean_and_std
from sightline.metrics import threads
from sightline.models.classify.resnet import resnet18
from sightline.training.engine import Training, launch
from sightline.training.labelled_recipe import LabelledRecipe
from sightline.training.packed_feed import PackedFeed

BATCH = {32: 128, 224: 16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sides", type=int, nargs="*", default=[32, 224])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--name", default="engine")
    given = parser.parse_args()
    if given.seeds < 2:
        parser.error("--seeds is at least 2: one has no standard error")
    screen = Console(width=110)
    table = Table(title=f"resnet18, {threads.available()} threads, float32")
    for heading in ("pixels", "batch", "engine", "plain loop", "ratio", "engine waits"):
        table.add_column(heading, justify="right")
    rows = []
    for side in given.sides:
        row = measure(side, given.steps, given.repeats, given.workers)
        rows.append(row)
        table.add_row(
            str(side), str(row["batch"]), f"{row['engine']:.1f}/s",
            f"{row['plain']:.1f}/s ({row['workers']} workers)", f"{row['ratio']:.2f}",
            f"{row['waited']:.1%}",
        )  # fmt: skip
    if rows:
        screen.print(table)
    same = accuracies(given.data, given.images, given.epochs, given.seeds)
    screen.print(
        f"validation after {given.epochs} epochs of {same['images']:,} images ({same['data']}), "
        f"{given.seeds} seeds: engine {same['engine_mean']:.2%}, plain loop "
        f"{same['plain_mean']:.2%}; difference {same['difference']:+.2%}, standard error "
        f"{same['standard_error']:.2%}"
    )
    path = machine.record(given.name, {"rows": rows, "accuracy": same}, "lightning-fabric")
    screen.print(f"recorded in {path.name}")


def measure(side: int, steps: int, repeats: int, workers: list[int]) -> dict[str, float]:
    batch = BATCH.get(side, 32)
    random = np.random.default_rng(0)
    X = random.integers(0, 256, (batch * steps, side, side, 3), dtype=np.uint8)
    y = random.integers(0, 10, len(X))
    recipe = LabelledRecipe(epochs=1000, batch_size=batch, lr=0.01, shift=side // 8, flip="random")
    training = trained_by_us(X, y, recipe, network(10, 3, side, 0), 0)
    calls = itertools.count()

    def ours() -> None:
        training.model.train()
        for given in training.feed.epoch(next(calls)):
            training.advance(given, 1.0)

    decoded = plain.Decoded(X, y, *mean_and_std(X))
    loops = {
        n: plain.epochs(network(10, 3, side, 0), plain.loader(decoded, batch, n), recipe)
        for n in workers
    }
    ours()
    best = min(workers, key=lambda n: (loops[n](), seconds(loops[n]))[1])
    training.feed.waited = 0.0
    times = machine.side_by_side({"engine": ours, "plain": loops[best]}, repeats)
    took = machine.medians(times)
    return {
        "side": side, "batch": batch, "workers": best,
        "engine": len(X) / took["engine"], "plain": len(X) / took["plain"],
        "ratio": median(b / a for a, b in zip(times["engine"], times["plain"], strict=True)),
        "waited": training.feed.waited / sum(times["engine"]),
    }  # fmt: skip


def accuracies(name: str, images: int, epochs: int, seeds: int) -> dict[str, Any]:
    """Validation accuracy of both loops, a pair a seed."""
    data = sightline.load_data(name)
    X, y, _ = data.train.arrays()
    X_val, y_val, _ = data.val.arrays()
    some = np.sort(np.random.default_rng(0).permutation(len(X))[:images])
    X, y = np.ascontiguousarray(X[some]), y[some]
    side, channels, classes = X.shape[1], X.shape[3], len(data.classes)
    flip = "random" if channels == 3 else "none"
    recipe = LabelledRecipe(epochs=epochs, batch_size=64, lr=0.05, shift=side // 8, flip=flip)
    fitted = mean_and_std(X)
    judged = plain.loader(
        plain.Decoded(X_val, y_val, *fitted, train=False), 256, 0, shuffle=False
    )  # fmt: skip
    pairs = []
    for seed in range(seeds):
        ours, theirs = (network(classes, channels, side, seed) for _ in range(2))
        trained_by_us(X, y, recipe, ours, seed).run()
        torch.manual_seed(seed)
        batches = plain.loader(plain.Decoded(X, y, *fitted), recipe.batch_size, 0)
        epoch = plain.epochs(theirs, batches, recipe)
        for _ in range(epochs):
            epoch()
        pairs.append((plain.accuracy(ours, judged), plain.accuracy(theirs, judged)))
    differences = [a - b for a, b in pairs]
    return {
        "data": data.name, "images": len(X), "validation_images": len(X_val), "epochs": epochs,
        "engine": [a for a, _ in pairs], "plain": [b for _, b in pairs],
        "engine_mean": mean(a for a, _ in pairs), "plain_mean": mean(b for _, b in pairs),
        "difference": mean(differences),
        "standard_error": stdev(differences) / len(pairs) ** 0.5 if len(pairs) > 1 else None,
    }  # fmt: skip


def network(classes: int, channels: int, side: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return resnet18(num_classes=classes, in_channels=channels, small=side <= 64)


def trained_by_us(
    X: np.ndarray, y: np.ndarray, recipe: LabelledRecipe, model: nn.Module, seed: int
) -> Training:
    fabric = launch(recipe)
    feed = PackedFeed(X, y, *mean_and_std(X), int(y.max()) + 1, recipe, fabric.device, seed)
    return Training(fabric, model, feed, recipe, lambda m, b: cross_entropy(m(b[0]), b[1]))


def seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
